// The root of the prelude: evaluated once, when the engine's image is made.
//
// **Owns** the order of installation. **Must not know** any API. No operation of the host may be called here.

import { host } from "./host.js";
import { dispatch } from "./dispatch.js";
import { installLoader } from "./entry.js";
import { installErrorReports } from "./errors-report.js";
import { domException } from "./errors.js";
import { installGlobals } from "./globals.js";
import { defineModules } from "./modules.js";
import { forbidEval } from "./no-eval.js";

host.setDispatcher(dispatch);
host.setErrorFactory?.((name, message) => domException(message, name));
installErrorReports();
installLoader();
defineModules();
installGlobals();
forbidEval();
