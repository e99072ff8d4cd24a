// `performance`, as Workers have it: the time origin is the epoch, and clocks stand still while JavaScript runs.
//
// **Owns** marks and measures. **Must not know** the host: `Date.now` is the engine's frozen clock. **Enter at**
// `performance`.

import { domException, INTERNAL, requireArguments, requireInternal, toDictionary, toDOMString, webClass } from "./errors.js";
import { EventTarget } from "./events.js";

const dateNow = Date.now;

export class PerformanceEntry {
  #entry;

  constructor(token = undefined, entry = undefined) {
    requireInternal(token);
    this.#entry = entry;
  }

  get name() { return this.#entry.name; }
  get entryType() { return this.#entry.entryType; }
  get startTime() { return this.#entry.startTime; }
  get duration() { return this.#entry.duration; }
  get detail() { return this.#entry.detail; }

  toJSON() {
    return { ...this.#entry };
  }
}
webClass(PerformanceEntry);

export class PerformanceMark extends PerformanceEntry {}
webClass(PerformanceMark);

export class PerformanceMeasure extends PerformanceEntry {}
webClass(PerformanceMeasure);

// BOUND: marks are for looking at one piece of work; past this many the oldest go, so an isolate can not leak by them.
const MOST_ENTRIES = 1000;

export class Performance extends EventTarget {
  #entries = [];

  constructor(token = undefined) {
    requireInternal(token);
    super();
  }

  get timeOrigin() { this.#entries; return 0; }

  now() {
    this.#entries;
    return dateNow();
  }

  mark(name, options = undefined) {
    requireArguments(arguments.length, 1, "mark");
    const { startTime = dateNow(), detail = null } = toDictionary(options, "PerformanceMarkOptions");
    if (!(startTime >= 0)) throw new TypeError("startTime must not be negative");
    const entry = { name: toDOMString(name), entryType: "mark", startTime: +startTime, duration: 0, detail };
    return this.#add(new PerformanceMark(INTERNAL, entry));
  }

  measure(name, startOrOptions = undefined, endMark = undefined) {
    requireArguments(arguments.length, 1, "measure");
    const options = typeof startOrOptions === "object" ? toDictionary(startOrOptions, "PerformanceMeasureOptions")
      : { start: startOrOptions, end: endMark };
    const { start, end, duration, detail = null } = options;
    let to = end === undefined ? dateNow() : this.#timeOf(end);
    const from = start !== undefined ? this.#timeOf(start) : duration !== undefined && end !== undefined ? to - duration : 0;
    if (duration !== undefined && end === undefined && start !== undefined) to = from + duration;
    const entry = { name: toDOMString(name), entryType: "measure", startTime: from, duration: to - from, detail };
    return this.#add(new PerformanceMeasure(INTERNAL, entry));
  }

  clearMarks(name = undefined) { this.#clear("mark", name); }
  clearMeasures(name = undefined) { this.#clear("measure", name); }

  getEntries() { return [...this.#entries]; }

  getEntriesByType(type) {
    requireArguments(arguments.length, 1, "getEntriesByType");
    return this.#entries.filter((entry) => entry.entryType === `${type}`);
  }

  getEntriesByName(name, type = undefined) {
    requireArguments(arguments.length, 1, "getEntriesByName");
    return this.#entries.filter((e) => e.name === `${name}` && (type === undefined || e.entryType === `${type}`));
  }

  toJSON() {
    return { timeOrigin: this.timeOrigin };
  }

  #add(entry) {
    if (this.#entries.length === MOST_ENTRIES) this.#entries.shift();
    this.#entries.push(entry);
    return entry;
  }

  #clear(type, name) {
    this.#entries = this.#entries.filter((e) => e.entryType !== type || (name !== undefined && e.name !== `${name}`));
  }

  #timeOf(mark) {
    if (typeof mark === "number") return mark;
    const found = this.#entries.findLast((entry) => entry.entryType === "mark" && entry.name === `${mark}`);
    if (found === undefined) throw domException(`The mark '${mark}' does not exist.`, "SyntaxError");
    return found.startTime;
  }
}
webClass(Performance);

export const performance = new Performance(INTERNAL);
