/* `__host`: what the prelude can ask of the engine and, through operations, of the host (OPS.md, "In JavaScript").
 *
 * Owns: the crossing out of the image. Must not know: what an operation means.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

__attribute__((import_module("skerry"), import_name("op")))
extern int64_t host_op(int32_t code, const uint8_t *arguments, uint32_t length, uint8_t *reply, uint32_t capacity);
__attribute__((import_module("skerry"), import_name("take")))
extern void host_take(uint8_t *reply);

static Writer out;
static Writer reply;
static JSValue dispatcher = JS_UNDEFINED;
static JSValue error_factory = JS_UNDEFINED;

/* BOUND: a reply buffer is kept between operations up to this size, so that one large reply does not pin memory. The largest
 * piece of a body fits. */
#define REPLY_KEPT_BYTES_MAX (68 * 1024)

static JSValue reply_value(JSContext *ctx, int64_t length)
{
    Reader r;
    JSValue value;
    if (length < 0)
        return JS_UNDEFINED;
    if (length > reply.capacity) {
        reply.length = 0;
        if (!sk_write_reserve(&reply, (uint32_t)length)) {
            reply.failed = false;
            return JS_ThrowOutOfMemory(ctx);
        }
        host_take(reply.data);
    }
    r.at = reply.data;
    r.end = reply.data + length;
    value = sk_read_value(ctx, &r, 0);
    if (reply.capacity > REPLY_KEPT_BYTES_MAX) {
        free(reply.data);
        memset(&reply, 0, sizeof reply);
    }
    return value;
}

/* Runs operation argv[0] with the other values and, where there is one, the items of `list` as its arguments. */
static JSValue run_op(JSContext *ctx, int argc, JSValueConst *argv, JSValueConst list)
{
    /* The arguments of a nested call (a getter in a list) go to a buffer of their own. */
    Writer w = out;
    int32_t code;
    int64_t length;
    memset(&out, 0, sizeof out);
    w.length = 0;
    if (argc < 1 || JS_ToInt32(ctx, &code, argv[0]))
        goto fail;
    for (int i = 1; i < argc; i++) {
        if (!sk_write_value(ctx, &w, argv[i], 0))
            goto fail;
    }
    if (!JS_IsUndefined(list) && !sk_write_items(ctx, &w, list))
        goto fail;
    if (!reply.data && !sk_write_reserve(&reply, 4096)) {
        reply.failed = false;
        JS_ThrowOutOfMemory(ctx);
        goto fail;
    }
    length = host_op(code, w.data, w.length, reply.data, reply.capacity);
    free(out.data);
    out = w;
    if (out.capacity > REPLY_KEPT_BYTES_MAX) {
        free(out.data);
        memset(&out, 0, sizeof out);
    }
    return reply_value(ctx, length);
fail:
    free(out.data);
    out = w;
    out.failed = false;
    return JS_EXCEPTION;
}

static JSValue host_call(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return run_op(ctx, argc, argv, JS_UNDEFINED);
}

/* opList(code, ..., list): a call with `...list` as the last arguments, without taking the list apart in JavaScript. */
static JSValue host_call_list(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (argc < 2 || !JS_IsArray(argv[argc - 1]))
        return JS_ThrowTypeError(ctx, "opList: the last argument is a list");
    return run_op(ctx, argc - 1, argv, argv[argc - 1]);
}

void sk_send(int32_t code, Writer *w)
{
    if (!w->failed)
        host_op(code, w->data, w->length, NULL, 0);
    free(w->data);
    memset(w, 0, sizeof *w);
}

static bool is_ascii(const uint8_t *text, uint32_t length)
{
    uint8_t high = 0;
    for (uint32_t i = 0; i < length; i++)
        high |= text[i];
    return high < 0x80;
}

static JSValue utf8_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Writer w = { 0 };
    uint32_t length;
    const uint8_t *text8;
    JSValue result, text = JS_ToString(ctx, argc ? argv[0] : JS_UNDEFINED);
    (void)self;
    if (JS_IsException(text))
        return text;
    text8 = sk_flat8(ctx, &text, &length);
    if (text8 && is_ascii(text8, length)) {
        result = JS_NewArrayBufferCopy(ctx, text8, length);
    } else if (sk_write_value(ctx, &w, text, 0)) {
        result = JS_NewArrayBufferCopy(ctx, w.data + 5, w.length - 5);
    } else {
        result = JS_EXCEPTION;
    }
    JS_FreeValue(ctx, text);
    free(w.data);
    return result;
}

/* utf8EncodeInto(string, bytes, offset = 0, length = the rest) -> [UTF-16 units read, bytes written] */
static JSValue utf8_encode_into(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    Writer w = { 0 };
    uint8_t *data;
    uint32_t size, offset = 0, length, units = 0, fit = 0;
    JSValue pair;
    (void)self;
    if (argc < 2 || sk_bytes(ctx, argv[1], &data, &size) <= 0
        || (argc > 2 && JS_ToUint32(ctx, &offset, argv[2])) || !sk_write_value(ctx, &w, argv[0], 0)) {
        free(w.data);
        return JS_HasException(ctx) ? JS_EXCEPTION : JS_ThrowTypeError(ctx, "utf8EncodeInto: bad arguments");
    }
    length = offset > size ? 0 : size - offset;
    if (argc > 3) {
        uint32_t most;
        if (JS_ToUint32(ctx, &most, argv[3])) {
            free(w.data);
            return JS_EXCEPTION;
        }
        length = most < length ? most : length;
    }
    for (uint32_t at = 5; at < w.length;) {
        uint8_t lead = w.data[at];
        uint32_t width = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (fit + width > length)
            break;
        fit += width;
        at += width;
        units += width == 4 ? 2 : 1;
    }
    memcpy(data + offset, w.data + 5, fit);
    free(w.data);
    pair = JS_NewArray(ctx);
    JS_DefinePropertyValueUint32(ctx, pair, 0, JS_NewUint32(ctx, units), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, pair, 1, JS_NewUint32(ctx, fit), JS_PROP_C_W_E);
    return pair;
}

/* How long the well-formed sequence at `at` is; 0 for an ill-formed one, whose length to skip goes to `skip`
 * (the maximal subpart, as WHATWG Encoding says). */
static uint32_t sequence(const uint8_t *at, uint32_t left, uint32_t *skip)
{
    uint8_t lower = 0x80, upper = 0xbf;
    uint32_t width, i;
    *skip = 1;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    width = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] == 0xe0) lower = 0xa0;
    if (at[0] == 0xed) upper = 0x9f;
    if (at[0] == 0xf0) lower = 0x90;
    if (at[0] == 0xf4) upper = 0x8f;
    for (i = 1; i < width; i++) {
        if (i >= left || at[i] < lower || at[i] > upper) {
            *skip = i;
            return 0;
        }
        lower = 0x80;
        upper = 0xbf;
    }
    return width;
}

/* utf8Decode(buffer, offset, length, fatal, ignoreBOM) -> string, or undefined when fatal and ill-formed */
static JSValue utf8_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint8_t *data, *clean = NULL;
    uint32_t size, offset = 0, length, done = 0, skip;
    bool fatal = argc > 3 && JS_ToBool(ctx, argv[3]), keep_bom = argc > 4 && JS_ToBool(ctx, argv[4]), valid = true;
    JSValue text;
    (void)self;
    if (argc < 1 || sk_bytes(ctx, argv[0], &data, &size) <= 0)
        return JS_HasException(ctx) ? JS_EXCEPTION : JS_ThrowTypeError(ctx, "utf8Decode: not bytes");
    length = size;
    if (argc > 2 && (JS_ToUint32(ctx, &offset, argv[1]) || JS_ToUint32(ctx, &length, argv[2])))
        return JS_EXCEPTION;
    if (offset > size || length > size - offset)
        return JS_ThrowRangeError(ctx, "utf8Decode: out of bounds");
    data += offset;
    if (!keep_bom && length >= 3 && !memcmp(data, "\xef\xbb\xbf", 3)) {
        data += 3;
        length -= 3;
    }
    for (uint32_t at = 0; at < length && valid;) {
        uint32_t width = sequence(data + at, length - at, &skip);
        valid = width > 0;
        at += width;
    }
    if (valid)
        return JS_NewStringLen(ctx, (const char *)data, length);
    if (fatal)
        return JS_UNDEFINED;
    clean = malloc((size_t)length * 3);
    if (!clean)
        return JS_ThrowOutOfMemory(ctx);
    for (uint32_t at = 0; at < length;) {
        uint32_t width = sequence(data + at, length - at, &skip);
        memcpy(clean + done, width ? data + at : (const uint8_t *)"\xef\xbf\xbd", width ? width : 3);
        done += width ? width : 3;
        at += width ? width : skip;
    }
    text = JS_NewStringLen(ctx, (const char *)clean, done);
    free(clean);
    return text;
}

static JSValue replace(JSContext *ctx, JSValue *slot, int argc, JSValueConst *argv)
{
    JSValue old = *slot;
    *slot = JS_DupValue(ctx, argc ? argv[0] : JS_UNDEFINED);
    JS_FreeValue(ctx, old);
    return JS_UNDEFINED;
}

static JSValue set_dispatcher(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return replace(ctx, &dispatcher, argc, argv);
}

static JSValue set_error_factory(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return replace(ctx, &error_factory, argc, argv);
}

JSValue sk_make_error(JSContext *ctx, JSValueConst name, JSValueConst message)
{
    JSValueConst arguments[2] = { name, message };
    if (JS_IsUndefined(error_factory))
        return JS_UNDEFINED;
    return JS_Call(ctx, error_factory, JS_UNDEFINED, 2, arguments);
}

static JSValue context_current(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)ctx; (void)self; (void)argc; (void)argv;
    return sk_context_dup();
}

static JSValue context_replace(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    sk_context_set(ctx, JS_DupValue(ctx, argc ? argv[0] : JS_UNDEFINED));
    return JS_UNDEFINED;
}

static JSValue detach(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (argc)
        JS_DetachArrayBuffer(ctx, argv[0]);
    return JS_UNDEFINED;
}

/* promiseState(p) -> 0 pending, 1 fulfilled, 2 rejected, -1 not a promise */
static JSValue promise_state(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (!argc || !JS_IsPromise(argv[0]))
        return JS_NewInt32(ctx, -1);
    return JS_NewInt32(ctx, (int)JS_PromiseState(ctx, argv[0]));
}

static JSValue promise_result(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    return argc && JS_IsPromise(argv[0]) ? JS_PromiseResult(ctx, argv[0]) : JS_UNDEFINED;
}

/* react(value, onFulfilled, onRejected): `then` of a promise resolved with the value, without the promise that it returns */
static JSValue react(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JSValue adopted;
    int failed;
    (void)self;
    if (argc < 3)
        return JS_ThrowTypeError(ctx, "react(value, onFulfilled, onRejected)");
    if (JS_IsPromise(argv[0]))
        return sk_react(ctx, argv[0], argv + 1) ? JS_EXCEPTION : JS_UNDEFINED;
    adopted = sk_promise_new(ctx);
    if (JS_IsException(adopted))
        return JS_EXCEPTION;
    sk_promise_settle(ctx, adopted, argv[0], false);
    failed = sk_react(ctx, adopted, argv + 1);
    JS_FreeValue(ctx, adopted);
    return failed ? JS_EXCEPTION : JS_UNDEFINED;
}

/* promise() -> a promise that settles by settle(promise, value, isRejection) only */
static JSValue promise(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self; (void)argc; (void)argv;
    return sk_promise_new(ctx);
}

static JSValue settle(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (argc < 3 || !JS_IsPromise(argv[0]))
        return JS_ThrowTypeError(ctx, "settle: not a promise");
    sk_promise_settle(ctx, argv[0], argv[1], JS_ToBool(ctx, argv[2]));
    return JS_UNDEFINED;
}

/* claim(result, outcome, ownResult, ownEvent) -> whether `result` and `outcome` can be dropped (sk_claim) */
static JSValue claim(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    int32_t own_result, own_event;
    (void)self;
    if (argc < 4 || JS_ToInt32(ctx, &own_result, argv[2]) || JS_ToInt32(ctx, &own_event, argv[3]))
        return JS_ThrowTypeError(ctx, "claim(result, outcome, ownResult, ownEvent)");
    return JS_NewBool(ctx, !sk_rejections_wait() && sk_claim(ctx, argv[0], argv[1], own_result, own_event));
}

/* stamp(model, ...values) -> an object like `model` whose first fields have these values */
static JSValue stamp(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (argc < 1)
        return JS_ThrowTypeError(ctx, "stamp: no model");
    return sk_stamp(ctx, argv[0], argc - 1, argv + 1);
}

static JSValue now(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self; (void)argc; (void)argv;
    return JS_NewFloat64(ctx, sk_now_ms);
}

static JSValue define_builtin(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    (void)self;
    if (argc < 2)
        return JS_ThrowTypeError(ctx, "defineBuiltin(name, exports)");
    return sk_modules_define(ctx, argv[0], argv[1]);
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("op", 1, host_call),
    JS_CFUNC_DEF("opList", 2, host_call_list),
    JS_CFUNC_DEF("utf8Encode", 1, utf8_encode),
    JS_CFUNC_DEF("utf8EncodeInto", 4, utf8_encode_into),
    JS_CFUNC_DEF("utf8Decode", 5, utf8_decode),
    JS_CFUNC_DEF("setDispatcher", 1, set_dispatcher),
    JS_CFUNC_DEF("setErrorFactory", 1, set_error_factory),
    JS_CFUNC_DEF("setRejectionTracker", 1, sk_set_rejection_tracker),
    JS_CFUNC_DEF("setDrained", 1, sk_set_drained),
    JS_CFUNC_DEF("setJobErrorHandler", 1, sk_set_job_error_handler),
    JS_CFUNC_DEF("setLoader", 1, sk_set_loader),
    JS_CFUNC_DEF("defineBuiltin", 2, define_builtin),
    JS_CFUNC_DEF("getContext", 0, context_current),
    JS_CFUNC_DEF("setContext", 1, context_replace),
    JS_CFUNC_DEF("detach", 1, detach),
    JS_CFUNC_DEF("promiseState", 1, promise_state),
    JS_CFUNC_DEF("promiseResult", 1, promise_result),
    JS_CFUNC_DEF("react", 3, react),
    JS_CFUNC_DEF("promise", 0, promise),
    JS_CFUNC_DEF("settle", 3, settle),
    JS_CFUNC_DEF("claim", 4, claim),
    JS_CFUNC_DEF("stamp", 1, stamp),
    JS_CFUNC_DEF("now", 0, now),
    JS_CFUNC_DEF("headerName", 1, sk_header_name),
    JS_CFUNC_DEF("headerValue", 1, sk_header_value),
};

void sk_host_init(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx);
    JSValue host = JS_NewObject(ctx);
    JS_SetPropertyFunctionList(ctx, host, functions, sizeof functions / sizeof functions[0]);
    JS_SetPropertyStr(ctx, global, "__host", host);
    JS_FreeValue(ctx, global);
}

void sk_host_hide(JSContext *ctx)
{
    JSValue global = JS_GetGlobalObject(ctx);
    JSAtom name = JS_NewAtom(ctx, "__host");
    JS_DeleteProperty(ctx, global, name, 0);
    JS_FreeAtom(ctx, name);
    JS_FreeValue(ctx, global);
}

JSValue sk_dispatch(JSContext *ctx, int argc, JSValueConst *argv)
{
    return JS_Call(ctx, dispatcher, JS_UNDEFINED, argc, argv);
}

bool sk_dispatcher_set(void)
{
    return !JS_IsUndefined(dispatcher);
}
