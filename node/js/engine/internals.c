/* Appended by build.rs to its patched copy of quickjs.c, so that it can see the engine's own structures.
 *
 * Owns: what the glue needs and the public API does not offer. Must not know: frames, operations, modules.
 */

/* The text of a flat string of 8-bit characters, or NULL for any other value. Valid while `v` lives. */
const uint8_t *sk_string8(JSValueConst v, uint32_t *length)
{
    JSString *p;
    if (JS_VALUE_GET_TAG(v) != JS_TAG_STRING)
        return NULL;
    p = JS_VALUE_GET_STRING(v);
    if (p->is_wide_char)
        return NULL;
    *length = p->len;
    return str8(p);
}

/* The bytes under an ArrayBuffer, a typed array or a DataView: 1 found, 0 not such a value, -1 thrown (detached). */
int sk_bytes(JSContext *ctx, JSValueConst v, uint8_t **data, uint32_t *length)
{
    JSObject *p;
    JSTypedArray *ta;
    JSArrayBuffer *abuf;
    if (JS_VALUE_GET_TAG(v) != JS_TAG_OBJECT)
        return 0;
    p = JS_VALUE_GET_OBJ(v);
    if (p->class_id == JS_CLASS_ARRAY_BUFFER || p->class_id == JS_CLASS_SHARED_ARRAY_BUFFER) {
        abuf = p->u.array_buffer;
        if (abuf->detached) {
            JS_ThrowTypeError(ctx, "the ArrayBuffer is detached");
            return -1;
        }
        *data = abuf->data;
        *length = abuf->byte_length;
        return 1;
    }
    if (is_typed_array(p->class_id)) {
        if (typed_array_is_oob(p)) {
            JS_ThrowTypeError(ctx, "the typed array is detached or out of bounds");
            return -1;
        }
    } else if (p->class_id == JS_CLASS_DATAVIEW) {
        if (dataview_is_oob(p)) {
            JS_ThrowTypeError(ctx, "the DataView is detached or out of bounds");
            return -1;
        }
    } else {
        return 0;
    }
    ta = p->u.typed_array;
    abuf = ta->buffer->u.array_buffer;
    *data = abuf->data + ta->offset;
    *length = ta->track_rab ? (uint32_t)abuf->byte_length - ta->offset : ta->length;
    return 1;
}

/* Gives Math.random a state of its own, so that isolates made from one memory image differ. */
void sk_seed(JSContext *ctx, uint64_t seed)
{
    ctx->random_state = seed ? seed : 1;
}

/* The async context that runs now; a new reference. */
JSValue sk_context_dup(void)
{
    return js_dup(sk_context);
}

/* Makes `value` (whose reference is taken) the async context. */
void sk_context_set(JSContext *ctx, JSValue value)
{
    JSValue old = sk_context;
    sk_context = value;
    JS_FreeValue(ctx, old);
}

/* The bytes that the engine has allocated. */
size_t sk_allocated(JSRuntime *rt)
{
    return rt->malloc_state.malloc_size;
}

/* Replaces a rope under `*v` by its flat string; the text when that has only 8-bit characters, else NULL. */
const uint8_t *sk_flat8(JSContext *ctx, JSValue *v, uint32_t *length)
{
    if (JS_VALUE_GET_TAG(*v) == JS_TAG_STRING_ROPE) {
        JSValue flat = js_linearize_string_rope(ctx, *v);
        JS_FreeValue(ctx, *v);
        *v = flat;
    }
    return sk_string8(*v, length);
}

/* Calls reactions[0] or reactions[1] when the promise settles, as `await` does: without a promise for what they come to. */
int sk_react(JSContext *ctx, JSValueConst promise, JSValueConst *reactions)
{
    JSValueConst nobody[2] = { JS_UNDEFINED, JS_UNDEFINED };
    return perform_promise_then(ctx, promise, reactions, nobody);
}

/* The characters from `start` up to `end` of a flat string. */
JSValue sk_substring(JSContext *ctx, JSValueConst v, uint32_t start, uint32_t end)
{
    return js_sub_string(ctx, JS_VALUE_GET_STRING(v), (int)start, (int)end);
}

/* A pending promise without functions that settle it. */
JSValue sk_promise_new(JSContext *ctx)
{
    return js_promise_new(ctx, JS_UNDEFINED, NULL);
}

/* What the functions do that `new Promise` hands out, for a promise that is settled by nobody else. */
void sk_promise_settle(JSContext *ctx, JSValueConst promise, JSValueConst value, bool is_reject)
{
    JSValueConst args[3] = { promise, value };
    JSValue then = JS_UNDEFINED, error;
    if (!is_reject && JS_IsObject(value)) {
        then = js_same_value(ctx, value, promise) ? JS_ThrowTypeError(ctx, "promise self resolution")
                                                  : JS_GetProperty(ctx, value, JS_ATOM_then);
    }
    if (JS_IsException(then)) {
        error = JS_GetException(ctx);
        fulfill_or_reject_promise(ctx, promise, error, true);
        JS_FreeValue(ctx, error);
        return;
    }
    args[2] = then;
    if (JS_IsFunction(ctx, then))
        JS_EnqueueJob(ctx, js_promise_resolve_thenable_job, 3, args);
    else
        fulfill_or_reject_promise(ctx, promise, value, is_reject);
    JS_FreeValue(ctx, then);
}

/* Whether `result` can settle as `outcome` only, a promise that we settle ourselves, and nobody would ever know: it is that
 * promise, or an async function has returned it and nothing has run since; no other microtask waits; nobody holds either but
 * one object of ours the outcome, our caller `own_result` times the result, and the two arguments; and no code is left that
 * would run for `event`, the async context, which only our caller holds, `own_event` times. Then neither has to be settled. */
bool sk_claim(JSContext *ctx, JSValueConst result, JSValueConst outcome, int own_result, int own_event)
{
    struct list_head *jobs = &ctx->rt->job_list;
    JSJobEntry *job;
    JSObject *then;
    JSPromiseData *s = JS_GetOpaque(outcome, JS_CLASS_PROMISE);
    if (!s || s->promise_state != JS_PROMISE_PENDING || !JS_IsPromise(result)
        || !list_empty(&s->promise_reactions[0]) || !JS_IsObject(sk_context)
        || JS_VALUE_GET_OBJ(outcome)->shape->prop_count > 0)
        return false;
    if (JS_VALUE_GET_PTR(result) == JS_VALUE_GET_PTR(outcome))
        return list_empty(jobs) && JS_REF_COUNT(JS_VALUE_GET_PTR(result)) == own_result + 3
            && JS_REF_COUNT(JS_VALUE_GET_PTR(sk_context)) == own_event + 1;
    if (list_empty(jobs) || jobs->next != jobs->prev)
        return false;
    job = list_entry(jobs->next, JSJobEntry, link);
    if (job->job_func != js_promise_resolve_thenable_job
        || JS_VALUE_GET_TAG(job->argv[2]) != JS_TAG_OBJECT
        || JS_VALUE_GET_PTR(job->argv[0]) != JS_VALUE_GET_PTR(result)
        || JS_VALUE_GET_PTR(job->argv[1]) != JS_VALUE_GET_PTR(outcome))
        return false;
    then = JS_VALUE_GET_OBJ(job->argv[2]);
    s = JS_GetOpaque(result, JS_CLASS_PROMISE);
    if (then->class_id != JS_CLASS_C_FUNCTION || then->u.cfunc.c_function.generic != js_promise_then
        || !list_empty(&s->promise_reactions[0])
        || JS_REF_COUNT(JS_VALUE_GET_PTR(result)) != own_result + 2 || JS_REF_COUNT(JS_VALUE_GET_PTR(outcome)) != 3
        || JS_REF_COUNT(JS_VALUE_GET_PTR(sk_context)) != own_event + 2)
        return false;
    list_del(&job->link);
    for (int i = 0; i < job->argc; i++)
        JS_FreeValue(ctx, job->argv[i]);
    JS_FreeValue(ctx, job->sk_context);
    js_free(ctx, job);
    return true;
}

/* A new object like `model`, an instance of a JavaScript class: of its shape, private fields and all, with the values of
 * its fields, the first `argc` of them from `argv`. It costs two allocations, and runs no constructor. */
JSValue sk_stamp(JSContext *ctx, JSValueConst model, int argc, JSValueConst *argv)
{
    JSObject *from, *to;
    JSValue object;
    if (JS_VALUE_GET_TAG(model) != JS_TAG_OBJECT)
        return JS_ThrowTypeError(ctx, "stamp: not an object");
    from = JS_VALUE_GET_OBJ(model);
    if (from->class_id != JS_CLASS_OBJECT || !from->shape->is_hashed || argc > from->shape->prop_count)
        return JS_ThrowTypeError(ctx, "stamp: not a model of %d fields", argc);
    object = JS_NewObjectFromShape(ctx, js_dup_shape(from->shape), JS_CLASS_OBJECT, NULL);
    if (JS_IsException(object))
        return object;
    to = JS_VALUE_GET_OBJ(object);
    for (int i = 0; i < from->shape->prop_count; i++)
        to->prop[i].u.value = js_dup(i < argc ? argv[i] : (JSValueConst)from->prop[i].u.value);
    return object;
}
