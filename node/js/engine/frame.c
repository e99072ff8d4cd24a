/* Frames: the values that cross between the host and JavaScript (OPS.md).
 *
 * Owns: the encoding. Must not know: what the values mean.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

enum { TAG_UNDEFINED, TAG_NULL, TAG_FALSE, TAG_TRUE, TAG_I32, TAG_F64, TAG_STRING, TAG_BYTES, TAG_LIST, TAG_ERROR };

bool sk_write_reserve(Writer *w, uint32_t more)
{
    uint64_t need = (uint64_t)w->length + more;
    uint8_t *grown;
    uint32_t capacity;
    if (need <= w->capacity)
        return true;
    if (w->failed || need > 0x7fffffff)
        goto fail;
    /* Twice as much as before, for many small values; but no more than needed for a large one. */
    capacity = w->capacity ? w->capacity * 2 : 4096;
    if (capacity < need || capacity > 0x7fffffff)
        capacity = (uint32_t)need;
    grown = realloc(w->data, capacity);
    if (!grown)
        goto fail;
    w->data = grown;
    w->capacity = capacity;
    return true;
fail:
    w->failed = true;
    return false;
}

static void write_head(Writer *w, uint8_t tag, uint32_t length)
{
    w->data[w->length++] = tag;
    memcpy(w->data + w->length, &length, 4);
    w->length += 4;
}

static void write_tag(Writer *w, uint8_t tag)
{
    if (sk_write_reserve(w, 1))
        w->data[w->length++] = tag;
}

void sk_write_text(Writer *w, const char *text, uint32_t length)
{
    if (!sk_write_reserve(w, length + 5))
        return;
    write_head(w, TAG_STRING, length);
    memcpy(w->data + w->length, text, length);
    w->length += length;
}

void sk_write_int(Writer *w, int32_t value)
{
    if (!sk_write_reserve(w, 5))
        return;
    w->data[w->length++] = TAG_I32;
    memcpy(w->data + w->length, &value, 4);
    w->length += 4;
}

/* Latin-1 text, the form most strings have in the engine, without an intermediate copy. */
static void write_latin1(Writer *w, const uint8_t *text, uint32_t length)
{
    uint32_t wide = 0;
    uint8_t *out;
    for (uint32_t i = 0; i < length; i++)
        wide += text[i] >> 7;
    if (wide == 0) {
        sk_write_text(w, (const char *)text, length);
        return;
    }
    if (!sk_write_reserve(w, length + wide + 5))
        return;
    write_head(w, TAG_STRING, length + wide);
    out = w->data + w->length;
    for (uint32_t i = 0; i < length; i++) {
        if (text[i] < 0x80) {
            *out++ = text[i];
        } else {
            *out++ = 0xc0 | (text[i] >> 6);
            *out++ = 0x80 | (text[i] & 0x3f);
        }
    }
    w->length = (uint32_t)(out - w->data);
}

static bool write_string(JSContext *ctx, Writer *w, JSValueConst value)
{
    uint32_t length8;
    size_t length;
    uint8_t *at;
    const char *text;
    const uint8_t *text8 = sk_string8(value, &length8);
    if (text8) {
        write_latin1(w, text8, length8);
        return true;
    }
    text = JS_ToCStringLen(ctx, &length, value);
    if (!text)
        return false;
    sk_write_text(w, text, (uint32_t)length);
    JS_FreeCString(ctx, text);
    if (w->failed)
        return true;
    /* A lone surrogate comes out as ED A0..BF xx, which is not UTF-8; U+FFFD has the same length. */
    at = w->data + w->length - length;
    for (size_t i = 0; i + 2 < length; i++) {
        if (at[i] == 0xed && at[i + 1] >= 0xa0) {
            at[i] = 0xef;
            at[i + 1] = 0xbf;
            at[i + 2] = 0xbd;
        }
    }
    return true;
}

static bool write_items(JSContext *ctx, Writer *w, JSValueConst list, int64_t count, int depth)
{
    for (int64_t i = 0; i < count; i++) {
        JSValue item = JS_GetPropertyUint32(ctx, list, (uint32_t)i);
        bool done = !JS_IsException(item) && sk_write_value(ctx, w, item, depth);
        JS_FreeValue(ctx, item);
        if (!done)
            return false;
    }
    return true;
}

/* The items of a list, without its head. */
bool sk_write_items(JSContext *ctx, Writer *w, JSValueConst list)
{
    int64_t count;
    return !JS_GetLength(ctx, list, &count) && write_items(ctx, w, list, count, 0);
}

static bool write_list(JSContext *ctx, Writer *w, JSValueConst value, int depth)
{
    int64_t count;
    if (depth >= SK_FRAME_DEPTH_MAX) {
        JS_ThrowRangeError(ctx, "too deeply nested for the host");
        return false;
    }
    if (JS_GetLength(ctx, value, &count) || !sk_write_reserve(w, 5))
        return false;
    write_head(w, TAG_LIST, (uint32_t)count);
    return write_items(ctx, w, value, count, depth + 1);
}

bool sk_write_value(JSContext *ctx, Writer *w, JSValueConst value, int depth)
{
    uint8_t *data;
    uint32_t length;
    double number;
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_UNDEFINED:
        write_tag(w, TAG_UNDEFINED);
        break;
    case JS_TAG_NULL:
        write_tag(w, TAG_NULL);
        break;
    case JS_TAG_BOOL:
        write_tag(w, JS_VALUE_GET_BOOL(value) ? TAG_TRUE : TAG_FALSE);
        break;
    case JS_TAG_INT:
        sk_write_int(w, JS_VALUE_GET_INT(value));
        break;
    case JS_TAG_FLOAT64:
        number = JS_VALUE_GET_FLOAT64(value);
        if (sk_write_reserve(w, 9)) {
            w->data[w->length++] = TAG_F64;
            memcpy(w->data + w->length, &number, 8);
            w->length += 8;
        }
        break;
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        if (!write_string(ctx, w, value))
            return false;
        break;
    default:
        if (JS_IsArray(value)) {
            if (!write_list(ctx, w, value, depth))
                return false;
            break;
        }
        switch (sk_bytes(ctx, value, &data, &length)) {
        case 1:
            if (sk_write_reserve(w, length + 5)) {
                write_head(w, TAG_BYTES, length);
                memcpy(w->data + w->length, data, length);
                w->length += length;
            }
            break;
        case 0:
            JS_ThrowTypeError(ctx, "this value can not be sent to the host");
            return false;
        default:
            return false;
        }
    }
    if (w->failed) {
        JS_ThrowOutOfMemory(ctx);
        return false;
    }
    return true;
}

static bool read_bytes(Reader *r, void *out, uint32_t length)
{
    if ((size_t)(r->end - r->at) < length)
        return false;
    memcpy(out, r->at, length);
    r->at += length;
    return true;
}

static bool read_span(Reader *r, const char **data, uint32_t *length)
{
    if (!read_bytes(r, length, 4) || (size_t)(r->end - r->at) < *length)
        return false;
    *data = (const char *)r->at;
    r->at += *length;
    return true;
}

bool sk_read_slice(Reader *r, const char **data, uint32_t *length)
{
    uint8_t tag;
    return read_bytes(r, &tag, 1) && (tag == TAG_STRING || tag == TAG_BYTES) && read_span(r, data, length);
}

bool sk_read_list(Reader *r, uint32_t *count)
{
    uint8_t tag;
    return read_bytes(r, &tag, 1) && tag == TAG_LIST && read_bytes(r, count, 4);
}

static JSValue malformed(JSContext *ctx)
{
    return JS_ThrowInternalError(ctx, "malformed frame from the host");
}

static bool same(const char *data, uint32_t length, const char *name)
{
    return strlen(name) == length && !memcmp(data, name, length);
}

/* Throws what an error value says, as the class that JavaScript code expects. */
static JSValue throw_error(JSContext *ctx, Reader *r)
{
    const char *name, *message;
    uint32_t name_length, length;
    JSValue text, error;
    if (!sk_read_slice(r, &name, &name_length) || !sk_read_slice(r, &message, &length))
        return malformed(ctx);
    if (same(name, name_length, "TypeError")) {
        JS_ThrowTypeError(ctx, "%s", "");
    } else if (same(name, name_length, "RangeError")) {
        JS_ThrowRangeError(ctx, "%s", "");
    } else if (same(name, name_length, "SyntaxError")) {
        JS_ThrowSyntaxError(ctx, "%s", "");
    } else if (same(name, name_length, "Error")) {
        JS_ThrowPlainError(ctx, "%s", "");
    } else {
        JSValue named = JS_NewStringLen(ctx, name, name_length);
        text = JS_NewStringLen(ctx, message, length);
        error = sk_make_error(ctx, named, text);
        JS_FreeValue(ctx, named);
        JS_FreeValue(ctx, text);
        if (JS_IsException(error))
            return error;
        if (!JS_IsUndefined(error))
            return JS_Throw(ctx, error);
        JS_ThrowPlainError(ctx, "%s", "");
    }
    /* The message is set apart, because the engine formats messages into 256 bytes. */
    error = JS_GetException(ctx);
    text = JS_NewStringLen(ctx, message, length);
    if (JS_IsException(text)) {
        JS_FreeValue(ctx, error);
        return JS_EXCEPTION;
    }
    JS_DefinePropertyValueStr(ctx, error, "message", text, JS_PROP_CONFIGURABLE | JS_PROP_WRITABLE);
    return JS_Throw(ctx, error);
}

/* Most lists are short: their items are read first, and the array is made once, of its size. */
#define SHORT_LIST_MAX 16

static JSValue read_short_list(JSContext *ctx, Reader *r, uint32_t count, int depth)
{
    JSValue items[SHORT_LIST_MAX];
    for (uint32_t i = 0; i < count; i++) {
        items[i] = sk_read_value(ctx, r, depth);
        if (JS_IsException(items[i])) {
            while (i-- > 0)
                JS_FreeValue(ctx, items[i]);
            return JS_EXCEPTION;
        }
    }
    return JS_NewArrayFrom(ctx, (int)count, items);
}

static JSValue read_list(JSContext *ctx, Reader *r, int depth)
{
    uint32_t count;
    JSValue list;
    if (depth >= SK_FRAME_DEPTH_MAX || !read_bytes(r, &count, 4) || count > (size_t)(r->end - r->at))
        return malformed(ctx);
    if (count <= SHORT_LIST_MAX)
        return read_short_list(ctx, r, count, depth + 1);
    list = JS_NewArray(ctx);
    for (uint32_t i = 0; i < count && !JS_IsException(list); i++) {
        JSValue item = sk_read_value(ctx, r, depth + 1);
        if (JS_IsException(item) || JS_DefinePropertyValueUint32(ctx, list, i, item, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, list);
            return JS_EXCEPTION;
        }
    }
    return list;
}

JSValue sk_read_value(JSContext *ctx, Reader *r, int depth)
{
    uint8_t tag;
    int32_t number;
    double real;
    const char *data;
    uint32_t length;
    if (!read_bytes(r, &tag, 1))
        return malformed(ctx);
    switch (tag) {
    case TAG_UNDEFINED:
        return JS_UNDEFINED;
    case TAG_NULL:
        return JS_NULL;
    case TAG_FALSE:
        return JS_FALSE;
    case TAG_TRUE:
        return JS_TRUE;
    case TAG_I32:
        return read_bytes(r, &number, 4) ? JS_NewInt32(ctx, number) : malformed(ctx);
    case TAG_F64:
        return read_bytes(r, &real, 8) ? JS_NewFloat64(ctx, real) : malformed(ctx);
    case TAG_STRING:
        return read_span(r, &data, &length) ? JS_NewStringLen(ctx, data, length) : malformed(ctx);
    case TAG_BYTES:
        return read_span(r, &data, &length) ? JS_NewArrayBufferCopy(ctx, (const uint8_t *)data, length)
                                            : malformed(ctx);
    case TAG_LIST:
        return read_list(ctx, r, depth);
    case TAG_ERROR:
        return throw_error(ctx, r);
    default:
        return malformed(ctx);
    }
}

JSValue sk_read_value_or_error(JSContext *ctx, Reader *r, bool *is_error)
{
    *is_error = r->at < r->end && *r->at == TAG_ERROR;
    if (!*is_error)
        return sk_read_value(ctx, r, 1);
    sk_read_value(ctx, r, 1);
    return JS_GetException(ctx);
}
