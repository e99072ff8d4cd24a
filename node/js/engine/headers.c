/* Checks of header names and values, the hottest text work of a request (RFC 9110 section 5).
 *
 * Owns: what a well-formed field is. Must not know: the Headers class.
 */
#include <string.h>
#include "engine.h"

static bool is_token(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
        || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* headerName(string) -> in lower case, or undefined when it is no token */
JSValue sk_header_name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    char lower[256];
    uint32_t length;
    bool changed = false;
    const uint8_t *text = argc ? sk_string8(argv[0], &length) : NULL;
    (void)self;
    /* BOUND: longer names are refused; the host refuses whole header blocks past 128 KiB. */
    if (!text || length == 0 || length > sizeof lower)
        return JS_UNDEFINED;
    for (uint32_t i = 0; i < length; i++) {
        if (!is_token(text[i]))
            return JS_UNDEFINED;
        lower[i] = (char)text[i];
        if (text[i] >= 'A' && text[i] <= 'Z') {
            lower[i] = (char)(text[i] + 32);
            changed = true;
        }
    }
    return changed ? JS_NewStringLen(ctx, lower, length) : JS_DupValue(ctx, argv[0]);
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* headerValue(string) -> without surrounding whitespace, or undefined when it has NUL, CR, LF or a character above 255 */
JSValue sk_header_value(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)
{
    uint32_t length, start = 0, end;
    const uint8_t *text;
    JSValue flat, result;
    (void)self;
    if (!argc || !JS_IsString(argv[0]))
        return JS_UNDEFINED;
    /* Concatenations are ropes until somebody looks at them. */
    flat = JS_ToString(ctx, argv[0]);
    text = sk_flat8(ctx, &flat, &length);
    if (!text) {
        JS_FreeValue(ctx, flat);
        return JS_UNDEFINED;
    }
    end = length;
    while (start < end && is_space(text[start]))
        start++;
    while (end > start && is_space(text[end - 1]))
        end--;
    for (uint32_t i = start; i < end; i++) {
        if (text[i] == 0 || text[i] == '\r' || text[i] == '\n') {
            JS_FreeValue(ctx, flat);
            return JS_UNDEFINED;
        }
    }
    if (start == 0 && end == length)
        return flat;
    result = sk_substring(ctx, flat, start, end);
    JS_FreeValue(ctx, flat);
    return result;
}
