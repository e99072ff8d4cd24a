/* The engine image: QuickJS-ng behind four exports (OPS.md, "Crossing").
 *
 * Owns: the runtime, its limits, and the exports. Must not know: what events and operations mean.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

#define EXPORT(name) __attribute__((export_name(#name))) name

/* BOUND: shadow stack that JavaScript may use before it gets a RangeError. The linker gives the image SK_STACK_BYTES; the
 * rest is for what C code does without asking. docs/001-engine-image.md has the measurements. */
#define STACK_MARGIN_BYTES (64 * 1024)

/* The cycle collector writes to every object, and so to every page that isolates share with the memory image. It starts
 * only when a worker has allocated this much of its own. */
#define GC_THRESHOLD_BYTES (4 * 1024 * 1024)

/* BOUND: the host's frames go into one buffer, kept between events up to this size: a piece of a body with what is around
 * it. A longer one is freed after its delivery; `isolate.rs` has the same number and asks for a new buffer then. */
#define INPUT_KEPT_BYTES_MAX (68 * 1024)

/* BOUND: arguments of one event, more than any in OPS.md. */
#define EVENT_VALUES_MAX 16

static JSRuntime *runtime;
static JSContext *context;
static uint8_t *input;
static uint32_t input_capacity;
static char init_error[1024];

static _Noreturn void init_failed(void)
{
    JSValue error = JS_GetException(context);
    const char *text = JS_ToCString(context, error);
    JSValue stack = JS_GetPropertyStr(context, error, "stack");
    const char *where = JS_ToCString(context, stack);
    strncat(init_error, text ? text : "unprintable error", 400);
    strncat(init_error, "\n", 2);
    strncat(init_error, where ? where : "", 500);
    __builtin_trap();
}

/* Why `sk_init` trapped, zero-terminated. */
const char *EXPORT(sk_error)(void)
{
    return init_error;
}

void EXPORT(sk_init)(void)
{
    runtime = JS_NewRuntime();
    JS_SetMaxStackSize(runtime, SK_STACK_BYTES - STACK_MARGIN_BYTES);
    JS_UpdateStackTop(runtime);
    /* Nothing is collected while the image is made: its objects live as long as an isolate. */
    JS_SetGCThreshold(runtime, (size_t)-1);
    context = JS_NewContext(runtime);
    sk_host_init(context);
    sk_jobs_init(runtime);
    sk_modules_init(runtime);
    if (!sk_modules_prelude(context))
        init_failed();
    sk_host_hide(context);
    JS_RunGC(runtime);
    JS_SetGCThreshold(runtime, sk_allocated(runtime) + GC_THRESHOLD_BYTES);
}

static void free_input(void)
{
    free(input);
    input = NULL;
    input_capacity = 0;
}

/* A buffer for the next frame, valid until the next call of this function or the delivery of a long frame. */
uint8_t *EXPORT(sk_alloc)(uint32_t length)
{
    if (length > input_capacity) {
        free_input();
        input_capacity = length < 4096 ? 4096 : length;
        input = malloc(input_capacity);
        if (!input)
            input_capacity = 0;
    }
    return input;
}

int32_t EXPORT(sk_load)(uint32_t length, double now_ms)
{
    Reader r = { input, input + length };
    int32_t status;
    sk_now_ms = now_ms;
    status = sk_load_frame(context, &r);
    free_input();
    return status;
}

static bool deliver_event(Reader *r)
{
    JSValue values[EVENT_VALUES_MAX], done;
    uint32_t count;
    bool is_error, failed = false;
    if (!sk_read_list(r, &count) || count > EVENT_VALUES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        values[i] = sk_read_value_or_error(context, r, &is_error);
        failed = failed || JS_IsException(values[i]);
    }
    if (failed) {
        sk_job_error(context);
    } else {
        done = sk_dispatch(context, (int)count, (JSValueConst *)values);
        if (JS_IsException(done))
            sk_job_error(context);
        JS_FreeValue(context, done);
    }
    for (uint32_t i = 0; i < count; i++)
        JS_FreeValue(context, values[i]);
    sk_drain(context);
    sk_context_set(context, JS_UNDEFINED);
    return !failed;
}

int32_t EXPORT(sk_deliver)(uint32_t length, double now_ms)
{
    Reader r = { input, input + length };
    uint32_t count;
    sk_now_ms = now_ms;
    if (!sk_read_list(&r, &count))
        return 1;
    for (uint32_t i = 0; i < count; i++) {
        if (!deliver_event(&r))
            return 1;
    }
    if (input_capacity > INPUT_KEPT_BYTES_MAX)
        free_input();
    return 0;
}
