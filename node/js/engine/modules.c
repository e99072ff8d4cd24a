/* Modules by name: the prelude's, the built-in ones, and the worker's own.
 *
 * Owns: what an import resolves to. Must not know: what a worker exports, or when it is evaluated.
 */
#include <stdlib.h>
#include <string.h>
#include "engine.h"

#define INTERNAL "skerry:internal/"
#define PRELUDE_ROOT INTERNAL "main.js"

typedef struct Source {
    struct Source *next;
    char *name;
    char *kind;
    char *data;
    uint32_t length;
} Source;

typedef struct Builtin {
    struct Builtin *next;
    char *name;
    JSValue exports;
} Builtin;

static Source *sources;
static Builtin *builtins;
static bool internal_allowed = true;

void sk_modules_allow_internal(void)
{
    internal_allowed = true;
}

static char *copy(const char *text, uint32_t length)
{
    char *owned = malloc((size_t)length + 1);
    if (owned) {
        memcpy(owned, text, length);
        owned[length] = 0;
    }
    return owned;
}

bool sk_modules_add(const char *name, uint32_t name_length, const char *kind, uint32_t kind_length, const char *data,
                    uint32_t length)
{
    Source *source = calloc(1, sizeof *source);
    if (!source)
        return false;
    source->name = copy(name, name_length);
    source->kind = copy(kind, kind_length);
    source->data = copy(data, length);
    source->length = length;
    source->next = sources;
    sources = source;
    return source->name && source->kind && source->data;
}

static Source *source_find(const char *name)
{
    Source *source = sources;
    while (source && strcmp(source->name, name))
        source = source->next;
    return source;
}

static Builtin *builtin_find(const char *name)
{
    Builtin *builtin = builtins;
    while (builtin && strcmp(builtin->name, name))
        builtin = builtin->next;
    return builtin;
}

static const PreludeFile *prelude_find(const char *name)
{
    const PreludeFile *file = sk_prelude;
    if (strncmp(name, INTERNAL, strlen(INTERNAL)))
        return NULL;
    name += strlen(INTERNAL);
    while (file->name && strcmp(file->name, name))
        file++;
    return file->name ? file : NULL;
}

/* Whether a module is a file of the prelude, and not a worker's that has taken such a name. */
static bool is_prelude(const char *name)
{
    return prelude_find(name) && !source_find(name);
}

/* Joins a relative specifier to the folder of the module that imports it. */
static char *join(JSContext *ctx, const char *base, const char *name)
{
    size_t size = strlen(base) + strlen(name) + 2, length = 0;
    const char *folder = strrchr(base, '/');
    char *path = js_malloc(ctx, size);
    if (!path)
        return NULL;
    if (folder) {
        length = (size_t)(folder - base);
        memcpy(path, base, length);
    }
    while (*name) {
        const char *end = strchr(name, '/');
        size_t part = end ? (size_t)(end - name) : strlen(name);
        if (part == 2 && !memcmp(name, "..", 2)) {
            while (length > 0 && path[length - 1] != '/')
                length--;
            if (length > 0)
                length--;
        } else if (part > 0 && !(part == 1 && *name == '.')) {
            if (length > 0)
                path[length++] = '/';
            memcpy(path + length, name, part);
            length += part;
        }
        name += part + (end != NULL);
    }
    path[length] = 0;
    return path;
}

static char *resolve(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    char *path;
    bool relative = name[0] == '.' && (name[1] == '/' || (name[1] == '.' && name[2] == '/'));
    (void)opaque;
    if (!relative && name[0] == '/')
        name++;
    path = relative ? join(ctx, base, name) : js_strdup(ctx, name);
    if (!path)
        return NULL;
    /* The prelude's files are there already, under their names: a worker's file of such a name must not stand for one. */
    if (prelude_find(path) ? internal_allowed || is_prelude(base) : source_find(path) || builtin_find(path))
        return path;
    /* Not "TypeError": bundlers and workerd both say plain `No such module`. */
    JS_ThrowPlainError(ctx, "No such module \"%.150s\", imported from \"%.80s\"", path, base);
    js_free(ctx, path);
    return NULL;
}

static int builtin_fill(JSContext *ctx, JSModuleDef *m)
{
    JSPropertyEnum *names;
    uint32_t count;
    int result = 0;
    JSValue exports = JS_GetModulePrivateValue(ctx, m);
    if (JS_GetOwnPropertyNames(ctx, &names, &count, exports, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY)) {
        JS_FreeValue(ctx, exports);
        return -1;
    }
    for (uint32_t i = 0; i < count && !result; i++) {
        const char *name = JS_AtomToCString(ctx, names[i].atom);
        JSValue value = JS_GetProperty(ctx, exports, names[i].atom);
        result = !name || JS_IsException(value) ? -1 : JS_SetModuleExport(ctx, m, name, value);
        JS_FreeCString(ctx, name);
    }
    JS_FreePropertyEnum(ctx, names, count);
    JS_FreeValue(ctx, exports);
    return result;
}

/* A module whose exports are the enumerable own properties of `exports` (whose reference is taken). */
static JSModuleDef *synthetic(JSContext *ctx, const char *name, JSValue exports)
{
    JSPropertyEnum *names;
    uint32_t count;
    JSModuleDef *m = NULL;
    if (JS_IsException(exports))
        return NULL;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, exports, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY)) {
        JS_FreeValue(ctx, exports);
        return NULL;
    }
    m = JS_NewCModule(ctx, name, builtin_fill);
    for (uint32_t i = 0; i < count && m; i++) {
        const char *export_name = JS_AtomToCString(ctx, names[i].atom);
        if (!export_name || JS_AddModuleExport(ctx, m, export_name))
            m = NULL;
        JS_FreeCString(ctx, export_name);
    }
    JS_FreePropertyEnum(ctx, names, count);
    if (m)
        JS_SetModulePrivateValue(ctx, m, exports);
    else
        JS_FreeValue(ctx, exports);
    return m;
}

static int import_meta(JSContext *ctx, JSModuleDef *m, const char *name)
{
    JSValue meta = JS_GetImportMeta(ctx, m);
    if (JS_IsException(meta))
        return -1;
    JS_DefinePropertyValueStr(ctx, meta, "url", JS_NewString(ctx, name), JS_PROP_C_W_E);
    JS_FreeValue(ctx, meta);
    return 0;
}

static JSModuleDef *compile(JSContext *ctx, const char *name, const char *text, uint32_t length)
{
    JSModuleDef *m;
    JSValue function = JS_Eval(ctx, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(function))
        return NULL;
    m = JS_VALUE_GET_PTR(function);
    import_meta(ctx, m, name);
    JS_FreeValue(ctx, function);
    return m;
}

static void forget_text(Source *source)
{
    free(source->data);
    source->data = NULL;
    source->length = 0;
}

static JSModuleDef *load(JSContext *ctx, const char *name, void *opaque)
{
    Source *source = source_find(name);
    Builtin *builtin = builtin_find(name);
    const PreludeFile *file = prelude_find(name);
    JSValue exports, value;
    JSModuleDef *m;
    (void)opaque;
    if (!source) {
        if (builtin)
            return synthetic(ctx, name, JS_DupValue(ctx, builtin->exports));
        if (file)
            return compile(ctx, name, file->text, file->length);
        JS_ThrowPlainError(ctx, "No such module \"%.150s\"", name);
        return NULL;
    }
    if (!source->data) {
        JS_ThrowPlainError(ctx, "The module \"%.150s\" can not be loaded", name);
        return NULL;
    }
    if (!strcmp(source->kind, "esm") || !strcmp(source->kind, "script")) {
        m = compile(ctx, name, source->data, source->length);
    } else {
        if (!strcmp(source->kind, "text"))
            value = JS_NewStringLen(ctx, source->data, source->length);
        else if (!strcmp(source->kind, "json"))
            value = JS_ParseJSON(ctx, source->data, source->length, name);
        else
            value = JS_NewArrayBufferCopy(ctx, (const uint8_t *)source->data, source->length);
        if (JS_IsException(value))
            return NULL;
        exports = JS_NewObject(ctx);
        JS_DefinePropertyValueStr(ctx, exports, "default", value, JS_PROP_C_W_E);
        m = synthetic(ctx, name, exports);
    }
    /* A module is loaded once; its text is needed again only to say once more why it can not be. */
    if (m)
        forget_text(source);
    return m;
}

void sk_modules_init(JSRuntime *rt)
{
    JS_SetModuleLoaderFunc(rt, resolve, load, NULL);
}

/* Waits, by draining, for a module's evaluation. */
static JSValue settle(JSContext *ctx, JSValue evaluation)
{
    JSValue result;
    if (!JS_IsPromise(evaluation))
        return evaluation;
    /* The failure is reported by whoever evaluates: it is not an unhandled rejection. */
    JS_PromiseMarkAsHandled(ctx, evaluation);
    sk_drain(ctx);
    switch (JS_PromiseState(ctx, evaluation)) {
    case JS_PROMISE_FULFILLED:
        result = JS_UNDEFINED;
        break;
    case JS_PROMISE_REJECTED:
        result = JS_Throw(ctx, JS_PromiseResult(ctx, evaluation));
        break;
    default:
        result = JS_ThrowPlainError(ctx, "Top-level await in the main module never settles");
    }
    JS_FreeValue(ctx, evaluation);
    return result;
}

bool sk_modules_prelude(JSContext *ctx)
{
    JSValue done;
    const PreludeFile *root = prelude_find(PRELUDE_ROOT);
    if (!root) {
        JS_ThrowPlainError(ctx, "the prelude has no main.js");
        return false;
    }
    sk_strip_source = true;
    done = settle(ctx, JS_Eval(ctx, root->text, root->length, PRELUDE_ROOT, JS_EVAL_TYPE_MODULE));
    sk_strip_source = false;
    internal_allowed = false;
    return !JS_IsException(done);
}

static Source *entry(const char *main_name, uint32_t main_length)
{
    char *name = copy(main_name, main_length);
    Source *source = name ? source_find(name) : NULL;
    free(name);
    return source;
}

bool sk_modules_is_script(const char *main_name, uint32_t main_length)
{
    Source *source = entry(main_name, main_length);
    return source && !strcmp(source->kind, "script");
}

JSValue sk_modules_evaluate(JSContext *ctx, const char *main_name, uint32_t main_length)
{
    JSValue function, done, space = JS_UNDEFINED;
    JSModuleDef *m;
    Source *source = entry(main_name, main_length);
    if (!source)
        return JS_ThrowPlainError(ctx, "No such module \"%.*s\"", (int)main_length, main_name);
    if (!strcmp(source->kind, "script")) {
        done = JS_Eval(ctx, source->data, source->length, source->name, JS_EVAL_TYPE_GLOBAL);
        forget_text(source);
        return done;
    }
    function = JS_Eval(ctx, source->data, source->length, source->name,
                       JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    forget_text(source);
    if (JS_IsException(function) || JS_ResolveModule(ctx, function)) {
        JS_FreeValue(ctx, function);
        return JS_EXCEPTION;
    }
    m = JS_VALUE_GET_PTR(function);
    import_meta(ctx, m, source->name);
    done = settle(ctx, JS_EvalFunction(ctx, function));
    if (JS_IsException(done))
        return done;
    space = JS_GetModuleNamespace(ctx, m);
    return space;
}

JSValue sk_modules_define(JSContext *ctx, JSValueConst name, JSValueConst exports)
{
    Builtin *builtin = calloc(1, sizeof *builtin);
    const char *text = JS_ToCString(ctx, name);
    if (!builtin || !text) {
        free(builtin);
        return JS_ThrowOutOfMemory(ctx);
    }
    builtin->name = copy(text, (uint32_t)strlen(text));
    builtin->exports = JS_DupValue(ctx, exports);
    builtin->next = builtins;
    builtins = builtin;
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}
