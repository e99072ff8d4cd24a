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
