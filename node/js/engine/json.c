/* JSON.stringify of plain data. Appended by build.rs to its patched copy of quickjs.c, behind internals.c.
 *
 * The engine's own way makes a list of keys, a quoted copy of every string and an index text for every element, because code
 * of the worker may run between any two steps. Most values are plain: objects and arrays of strings, numbers, booleans and
 * null, without accessors and without toJSON. Reading those runs no code, so they are written straight from their shapes; at
 * the first thing that is not plain the engine starts over in its own way, and nobody can tell.
 *
 * Owns: which values are plain. Must not know: replacers, indentation.
 */

/* BOUND: nesting that is written without looking for cycles; what is deeper takes the engine's own way. */
#define SK_JSON_DEPTH_MAX 32

typedef enum { SK_JSON_FAILED, SK_JSON_NOT_PLAIN, SK_JSON_WRITTEN } SkJson;

static SkJson sk_json_value(JSContext *ctx, StringBuffer *b, JSValueConst v, int depth);

static bool sk_json_needs_no_escape(const JSString *p)
{
    const uint8_t *text = str8((JSString *)p);
    for (uint32_t i = 0; i < p->len; i++) {
        if (text[i] < 0x20 || text[i] == '"' || text[i] == '\\')
            return false;
    }
    return true;
}

static SkJson sk_json_string(JSContext *ctx, StringBuffer *b, JSValueConst v)
{
    JSValue quoted;
    if (JS_VALUE_GET_TAG(v) == JS_TAG_STRING) {
        JSString *p = JS_VALUE_GET_STRING(v);
        if (!p->is_wide_char && sk_json_needs_no_escape(p)) {
            bool failed = string_buffer_putc8(b, '"') || string_buffer_write8(b, str8(p), p->len)
                || string_buffer_putc8(b, '"');
            return failed ? SK_JSON_FAILED : SK_JSON_WRITTEN;
        }
    }
    quoted = JS_ToQuotedString(ctx, v);
    if (JS_IsException(quoted))
        return SK_JSON_FAILED;
    return string_buffer_concat_value_free(b, quoted) ? SK_JSON_FAILED : SK_JSON_WRITTEN;
}

static SkJson sk_json_int(StringBuffer *b, int32_t v)
{
    char text[12];
    size_t length = i32toa(text, v);
    return string_buffer_write8(b, (const uint8_t *)text, (int)length) ? SK_JSON_FAILED : SK_JSON_WRITTEN;
}

/* Whether JSON.stringify would run code for this object: a toJSON method somewhere, or a proxy that might have one. */
static bool sk_json_has_hook(JSObject *p)
{
    for (; p; p = p->shape->proto) {
        if ((p->is_exotic && p->class_id != JS_CLASS_ARRAY) || find_own_property1(p, JS_ATOM_toJSON))
            return true;
    }
    return false;
}

static SkJson sk_json_array(JSContext *ctx, StringBuffer *b, JSObject *p, int depth)
{
    JSValueConst length = p->prop[0].u.value;
    if (!p->fast_array || JS_VALUE_GET_TAG(length) != JS_TAG_INT
        || (uint32_t)JS_VALUE_GET_INT(length) != p->u.array.count)
        return SK_JSON_NOT_PLAIN;
    if (string_buffer_putc8(b, '['))
        return SK_JSON_FAILED;
    for (uint32_t i = 0; i < p->u.array.count; i++) {
        JSValueConst item = p->u.array.u.values[i];
        SkJson done;
        if (i > 0 && string_buffer_putc8(b, ','))
            return SK_JSON_FAILED;
        done = sk_json_value(ctx, b, JS_IsUndefined(item) ? JS_NULL : item, depth);
        if (done != SK_JSON_WRITTEN)
            return done;
    }
    return string_buffer_putc8(b, ']') ? SK_JSON_FAILED : SK_JSON_WRITTEN;
}

static SkJson sk_json_object(JSContext *ctx, StringBuffer *b, JSObject *p, int depth)
{
    JSShape *sh = p->shape;
    JSShapeProperty *props = get_shape_prop(sh);
    bool first = true;
    if (string_buffer_putc8(b, '{'))
        return SK_JSON_FAILED;
    for (int i = 0; i < sh->prop_count; i++) {
        JSShapeProperty *prop = &props[i];
        JSValueConst value;
        uint32_t index;
        SkJson done;
        if (prop->atom == JS_ATOM_NULL || !(prop->flags & JS_PROP_ENUMERABLE)
            || JS_AtomGetKind(ctx, prop->atom) != JS_ATOM_KIND_STRING)
            continue;
        /* Indices come first in another order; accessors run code. */
        if ((prop->flags & JS_PROP_TMASK) != JS_PROP_NORMAL || JS_AtomIsArrayIndex(ctx, &index, prop->atom))
            return SK_JSON_NOT_PLAIN;
        value = p->prop[i].u.value;
        if (JS_IsUndefined(value))
            continue;
        if (!first && string_buffer_putc8(b, ','))
            return SK_JSON_FAILED;
        first = false;
        done = sk_json_string(ctx, b, JS_MKPTR(JS_TAG_STRING, ctx->rt->atom_array[prop->atom]));
        if (done == SK_JSON_WRITTEN)
            done = string_buffer_putc8(b, ':') ? SK_JSON_FAILED : sk_json_value(ctx, b, value, depth);
        if (done != SK_JSON_WRITTEN)
            return done;
    }
    return string_buffer_putc8(b, '}') ? SK_JSON_FAILED : SK_JSON_WRITTEN;
}

static SkJson sk_json_value(JSContext *ctx, StringBuffer *b, JSValueConst v, int depth)
{
    JSObject *p;
    switch (JS_VALUE_GET_NORM_TAG(v)) {
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        return sk_json_string(ctx, b, v);
    case JS_TAG_INT:
        return sk_json_int(b, JS_VALUE_GET_INT(v));
    case JS_TAG_FLOAT64:
        if (!isfinite(JS_VALUE_GET_FLOAT64(v)))
            v = JS_NULL;
        /* fall through */
    case JS_TAG_BOOL:
    case JS_TAG_NULL:
        return string_buffer_concat_value(b, v) ? SK_JSON_FAILED : SK_JSON_WRITTEN;
    case JS_TAG_OBJECT:
        p = JS_VALUE_GET_OBJ(v);
        if (depth >= SK_JSON_DEPTH_MAX || sk_json_has_hook(p))
            return SK_JSON_NOT_PLAIN;
        if (p->class_id == JS_CLASS_ARRAY)
            return sk_json_array(ctx, b, p, depth + 1);
        return p->class_id == JS_CLASS_OBJECT ? sk_json_object(ctx, b, p, depth + 1) : SK_JSON_NOT_PLAIN;
    default:
        return SK_JSON_NOT_PLAIN;
    }
}

/* Whether `v` is plain; then its text, or an exception, is in `*text`. */
static bool sk_json_plain(JSContext *ctx, JSValueConst v, JSValue *text)
{
    StringBuffer b;
    /* Primitives alone are rare and the engine's own way is short. */
    if (JS_VALUE_GET_TAG(v) != JS_TAG_OBJECT)
        return false;
    if (string_buffer_init(ctx, &b, 64)) {
        *text = JS_EXCEPTION;
        return true;
    }
    switch (sk_json_value(ctx, &b, v, 0)) {
    case SK_JSON_WRITTEN:
        *text = string_buffer_end(&b);
        return true;
    case SK_JSON_FAILED:
        string_buffer_free(&b);
        *text = JS_EXCEPTION;
        return true;
    default:
        string_buffer_free(&b);
        return false;
    }
}
