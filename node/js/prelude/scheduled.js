// The controller that a `scheduled` handler gets.
//
// **Owns** that class. **Must not know** cron. **Enter at** `makeController`.

import { illegalConstructor, webClass } from "./errors.js";

// Marks a construction by the prelude itself; tenant code can not reach it.
const INTERNAL = {};

let makeController;

export class ScheduledController {
  #cron;
  #scheduledTime;

  static {
    makeController = (cron, scheduledTime) => {
      const controller = new ScheduledController(INTERNAL);
      controller.#cron = cron;
      controller.#scheduledTime = scheduledTime;
      return controller;
    };
  }

  constructor(token = undefined) {
    if (token !== INTERNAL) throw illegalConstructor();
  }

  get cron() {
    return this.#cron;
  }

  get scheduledTime() {
    return this.#scheduledTime;
  }

  get type() {
    return "scheduled";
  }

  // A failed event is never repeated here, so there is nothing to switch off.
  noRetry() {
    this.#cron;
  }
}

webClass(ScheduledController);

export { makeController };
