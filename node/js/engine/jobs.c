/* Microtasks, and the errors that leave them.
 *
 * Owns: draining the job queue, and telling the prelude what nobody caught. Must not know: events, modules.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

static JSValue rejection_tracker = JS_UNDEFINED;
static JSValue drained = JS_UNDEFINED;
static JSValue job_error_handler = JS_UNDEFINED;
static bool rejections_seen = false;

static JSValue replace(JSContext *ctx, JSValue *slot, int argc, JSValueConst *argv)
{
    JSValue old = *slot;
    *slot = JS_DupValue(ctx, argc ? argv[0] : JS_UNDEFINED);
    JS_FreeValue(ctx, old);
    return JS_UNDEFINED;
}

JSValue sk_set_rejection_tracker(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return replace(ctx, &rejection_tracker, argc, argv);
}

JSValue sk_set_drained(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return replace(ctx, &drained, argc, argv);
}

JSValue sk_set_job_error_handler(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return replace(ctx, &job_error_handler, argc, argv);
}

static void track(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool is_handled, void *opaque)
{
    JSValueConst arguments[3] = { promise, reason, is_handled ? JS_TRUE : JS_FALSE };
    (void)opaque;
    if (JS_IsUndefined(rejection_tracker))
        return;
    rejections_seen = true;
    JS_FreeValue(ctx, JS_Call(ctx, rejection_tracker, JS_UNDEFINED, 3, arguments));
}

void sk_jobs_init(JSRuntime *rt)
{
    JS_SetHostPromiseRejectionTracker(rt, track, NULL);
}

static void write_property(JSContext *ctx, Writer *w, JSValueConst error, const char *name)
{
    JSValue value = JS_GetPropertyStr(ctx, error, name);
    if (!JS_IsString(value) || !sk_write_value(ctx, w, value, 0))
        sk_write_text(w, "", 0);
    JS_FreeValue(ctx, value);
    JS_FreeValue(ctx, JS_GetException(ctx));
}

/* `Name: message`, then the stack. */
void sk_write_error(JSContext *ctx, Writer *w, JSValueConst error)
{
    JSValue text = JS_ToString(ctx, error);
    if (JS_IsException(text) || !sk_write_value(ctx, w, text, 0))
        sk_write_text(w, "unprintable error", 17);
    JS_FreeValue(ctx, text);
    JS_FreeValue(ctx, JS_GetException(ctx));
    if (JS_IsObject(error))
        write_property(ctx, w, error, "stack");
    else
        sk_write_text(w, "", 0);
}

void sk_job_error(JSContext *ctx)
{
    Writer w = { 0 };
    JSValue error = JS_GetException(ctx);
    if (!JS_IsUndefined(job_error_handler)) {
        JSValue done = JS_Call(ctx, job_error_handler, JS_UNDEFINED, 1, (JSValueConst *)&error);
        if (!JS_IsException(done)) {
            JS_FreeValue(ctx, done);
            JS_FreeValue(ctx, error);
            return;
        }
        JS_FreeValue(ctx, JS_GetException(ctx));
    }
    sk_write_int(&w, SK_LEVEL_EXCEPTION);
    sk_write_int(&w, -1);
    sk_write_error(ctx, &w, error);
    sk_send(SK_OP_LOG, &w);
    JS_FreeValue(ctx, error);
}

bool sk_rejections_wait(void)
{
    return rejections_seen;
}

void sk_drain(JSContext *ctx)
{
    JSContext *job_context;
    JSRuntime *rt = JS_GetRuntime(ctx);
    for (;;) {
        if (JS_ExecutePendingJob(rt, &job_context) == 0) {
            if (!rejections_seen)
                return;
            rejections_seen = false;
            if (!JS_IsUndefined(drained)) {
                JSValue done = JS_Call(ctx, drained, JS_UNDEFINED, 0, NULL);
                if (JS_IsException(done))
                    sk_job_error(ctx);
                JS_FreeValue(ctx, done);
            }
        }
    }
}
