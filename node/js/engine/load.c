/* Loading a worker: one frame with its configuration and files.
 *
 * Owns: the order of a load and the report of its failure. Must not know: how imports resolve, what `env` means.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

static JSValue loader = JS_UNDEFINED;

JSValue sk_set_loader(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    JSValue old = loader;
    (void)self;
    loader = JS_DupValue(ctx, argc ? argv[0] : JS_UNDEFINED);
    JS_FreeValue(ctx, old);
    return JS_UNDEFINED;
}

static bool call(JSContext *ctx, const char *method, int argc, JSValueConst *argv)
{
    JSValue result, function = JS_GetPropertyStr(ctx, loader, method);
    if (!JS_IsFunction(ctx, function)) {
        JS_FreeValue(ctx, function);
        JS_ThrowPlainError(ctx, "the prelude has no loader.%s", method);
        return false;
    }
    result = JS_Call(ctx, function, loader, argc, argv);
    JS_FreeValue(ctx, function);
    JS_FreeValue(ctx, result);
    return !JS_IsException(result);
}

static bool read_modules(JSContext *ctx, Reader *r)
{
    uint32_t count, fields;
    if (!sk_read_list(r, &count))
        goto malformed;
    for (uint32_t i = 0; i < count; i++) {
        const char *name, *kind, *data;
        uint32_t name_length, kind_length, length;
        if (!sk_read_list(r, &fields) || fields != 3 || !sk_read_slice(r, &name, &name_length)
            || !sk_read_slice(r, &kind, &kind_length) || !sk_read_slice(r, &data, &length))
            goto malformed;
        if (!sk_modules_add(name, name_length, kind, kind_length, data, length)) {
            JS_ThrowOutOfMemory(ctx);
            return false;
        }
    }
    return true;
malformed:
    JS_ThrowInternalError(ctx, "malformed load frame");
    return false;
}

static bool load(JSContext *ctx, Reader *r)
{
    JSValue values[5], arguments[3];
    const char *main_name;
    uint32_t length;
    bool done = false, internal;
    double seed;
    /* compatibility [date, flags], env, seed, whether tests may import the prelude's files, name of the entry */
    for (int i = 0; i < 4; i++)
        values[i] = sk_read_value(ctx, r, 0);
    if (JS_IsException(values[0]) || JS_IsException(values[1]) || JS_ToFloat64(ctx, &seed, values[2])
        || !sk_read_slice(r, &main_name, &length)) {
        JS_ThrowInternalError(ctx, "malformed load frame");
        return false;
    }
    internal = JS_ToBool(ctx, values[3]);
    sk_seed(ctx, (uint64_t)(seed * 9007199254740992.0));
    if (internal)
        sk_modules_allow_internal();
    if (!read_modules(ctx, r))
        return false;
    arguments[0] = values[0];
    arguments[1] = values[1];
    arguments[2] = JS_NewBool(ctx, sk_modules_is_script(main_name, length));
    if (call(ctx, "begin", 3, (JSValueConst *)arguments)) {
        arguments[0] = sk_modules_evaluate(ctx, main_name, length);
        arguments[1] = JS_NewStringLen(ctx, main_name, length);
        if (!JS_IsException(arguments[0]))
            done = call(ctx, "done", 2, (JSValueConst *)arguments);
        JS_FreeValue(ctx, arguments[0]);
        JS_FreeValue(ctx, arguments[1]);
    }
    for (int i = 0; i < 2; i++)
        JS_FreeValue(ctx, values[i]);
    return done;
}

int32_t sk_load_frame(JSContext *ctx, Reader *r)
{
    Writer w = { 0 };
    JSValue error;
    if (load(ctx, r)) {
        sk_drain(ctx);
        return 0;
    }
    error = JS_GetException(ctx);
    sk_write_error(ctx, &w, error);
    sk_send(SK_OP_LOAD_FAILED, &w);
    JS_FreeValue(ctx, error);
    return 1;
}
