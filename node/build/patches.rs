//! What we change in QuickJS-ng, as exact replacements: a new version of the engine that moves one of them fails the build.

/// One replacement, which must match exactly once.
pub(crate) struct Patch {
    why: &'static str,
    old: &'static str,
    new: &'static str,
}

impl Patch {
    /// The text after the replacement.
    pub(crate) fn apply(&self, text: &str) -> Result<String, String> {
        match text.matches(self.old).count() {
            1 => Ok(text.replacen(self.old, self.new, 1)),
            found => Err(format!("the patch {:?} matches {found} times in quickjs.c, not once", self.why)),
        }
    }
}

/// In the order of the file.
pub(crate) const PATCHES: &[Patch] = &[
    Patch {
        why: "WebAssembly has no computed goto: a switch saves its emulation",
        old: "#if defined(EMSCRIPTEN) || defined(_MSC_VER)
#define DIRECT_DISPATCH  0
",
        new: "#if defined(__wasm__)
#define DIRECT_DISPATCH  0
",
    },
    Patch {
        why: "a microtask remembers the async context it was queued in",
        old: "    JSJobFunc *job_func;
    int argc;
    JSValue argv[];
} JSJobEntry;
",
        new: "    JSJobFunc *job_func;
    JSValue sk_context;
    int argc;
    JSValue argv[];
} JSJobEntry;

static JSValue sk_context = JS_UNDEFINED;
bool sk_strip_source = false;

/* internals.c, jobs.c */
void sk_job_error(JSContext *ctx);
JSValue sk_promise_new(JSContext *ctx);
void sk_promise_settle(JSContext *ctx, JSValueConst promise, JSValueConst value, bool is_reject);

/* The engine checks the depth of its recursion on the shadow stack only. In functions that use little of that and much of
   the native stack, this makes the shadow stack run out first. */
#define SK_FRAME(bytes) volatile char sk_frame[bytes]; sk_frame[0] = 0
",
    },
    Patch {
        why: "deep recursion is a RangeError on wasi too (default)",
        old: "#ifdef __wasi__
    rt->stack_size = 0;
#endif
",
        new: "",
    },
    Patch {
        why: "the arena that an event leaves empty stays for the next event",
        old: "        if (unlikely(ar->n_used_blocks == 0)) {
",
        new: "        if (unlikely(ar->n_used_blocks == 0) && ar->free_link.next != ar->free_link.prev) {
",
    },
    Patch {
        why: "queueing a microtask captures the async context",
        old: "    e->job_func = job_func;
    e->argc = argc;
",
        new: "    e->job_func = job_func;
    e->sk_context = js_dup(sk_context);
    e->argc = argc;
",
    },
    Patch {
        why: "a microtask runs in its async context, and what leaves it is reported there",
        old: "    res = e->job_func(e->ctx, e->argc, vc(e->argv));
",
        new: "    JSValue sk_outer = sk_context;
    sk_context = e->sk_context;
    res = e->job_func(e->ctx, e->argc, vc(e->argv));
    if (JS_IsException(res)) {
        sk_job_error(ctx);
        res = JS_UNDEFINED;
    }
    JS_FreeValue(ctx, sk_context);
    sk_context = sk_outer;
",
    },
    Patch {
        why: "deep recursion is a RangeError on wasi too (limit)",
        old: "#if defined(__wasi__)
    rt->stack_limit = 0; /* no limit */
#else
",
        new: "#if 0
#else
",
    },
    Patch {
        why: "a string equals itself: `typeof` and a literal give the same one",
        old: "static bool js_string_eq(JSString *p1, JSString *p2) {
    if (p1->len",
        new: "static bool js_string_eq(JSString *p1, JSString *p2) {
    if (p1 == p2)
        return true;
    if (p1->len",
    },
    Patch {
        why: "an async function settles its promise without two functions to do it (throws)",
        old: "            ret2 = JS_Call(ctx, s->resolving_funcs[1], JS_UNDEFINED,
                           1, vc(&error));
            JS_FreeValue(ctx, error);
        resolved:
",
        new: "            sk_promise_settle(ctx, s->resolving_funcs[0], error, true);
            ret2 = JS_UNDEFINED;
            JS_FreeValue(ctx, error);
        resolved:
",
    },
    Patch {
        why: "an async function settles its promise without two functions to do it (returns)",
        old: "            /* function returned */
            ret2 = JS_Call(ctx, s->resolving_funcs[0], JS_UNDEFINED,
                           1, vc(&value));
",
        new: "            /* function returned */
            sk_promise_settle(ctx, s->resolving_funcs[0], value, false);
            ret2 = JS_UNDEFINED;
",
    },
    Patch {
        why: "an async function settles its promise without two functions to do it (is called)",
        old: "    promise = JS_NewPromiseCapability(ctx, s->resolving_funcs);
    if (JS_IsException(promise))
        goto fail;

    if (async_func_init(",
        new: "    promise = sk_promise_new(ctx);
    if (JS_IsException(promise))
        goto fail;
    s->resolving_funcs[0] = js_dup(promise);

    if (async_func_init(",
    },
    Patch {
        why: "deeply nested source is a RangeError and not a trap",
        old: "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)
{
    int opcode, op, scope;
",
        new: "static __exception int js_parse_assign_expr2(JSParseState *s, int parse_flags)
{
    SK_FRAME(1024);
    int opcode, op, scope;
",
    },
    Patch {
        why: "the prelude's functions keep no source text",
        old: "    b->source = fd->source;
    b->source_len = fd->source_len;
",
        new: "    if (sk_strip_source) {
        js_free(ctx, fd->source);
        fd->source = NULL;
        fd->source_len = 0;
    }
    b->source = fd->source;
    b->source_len = fd->source_len;
",
    },
    Patch {
        why: "deeply nested JSON is a RangeError and not a trap (parse)",
        old: "static JSValue json_parse_value(JSParseState *s, JSONParseRecord *pr)
{
    JSContext *ctx = s->ctx;
",
        new: "static JSValue json_parse_value(JSParseState *s, JSONParseRecord *pr)
{
    SK_FRAME(256);
    JSContext *ctx = s->ctx;
",
    },
    Patch {
        why: "deeply nested JSON is a RangeError and not a trap (stringify)",
        old: "    JSValue indent1, sep, sep1, tab, v, prop;
    JSObject *p;
    int64_t i, len;
    int cl, ret;
    bool has_content;
",
        new: "    SK_FRAME(256);
    JSValue indent1, sep, sep1, tab, v, prop;
    JSObject *p;
    int64_t i, len;
    int cl, ret;
    bool has_content;
",
    },
    Patch {
        why: "plain data is written as JSON without running code (json.c)",
        old: "JSValue JS_JSONStringify(JSContext *ctx, JSValueConst obj,
                         JSValueConst replacer, JSValueConst space0)
{
    StringBuffer b_s;
    JSONStringifyContext jsc_s, *jsc = &jsc_s;
    JSValue val, v, space, ret, wrapper;
    int res;
    int64_t i, j, n;
",
        new: "static bool sk_json_plain(JSContext *ctx, JSValueConst v, JSValue *text);

JSValue JS_JSONStringify(JSContext *ctx, JSValueConst obj,
                         JSValueConst replacer, JSValueConst space0)
{
    StringBuffer b_s;
    JSONStringifyContext jsc_s, *jsc = &jsc_s;
    JSValue val, v, space, ret, wrapper;
    int res;
    int64_t i, j, n;

    if (JS_IsUndefined(replacer) && JS_IsUndefined(space0) && sk_json_plain(ctx, obj, &ret))
        return ret;
",
    },
    Patch {
        why: "a promise reaction remembers the async context",
        old: "    JSValue resolving_funcs[2];
    JSValue handler;
} JSPromiseReactionData;
",
        new: "    JSValue resolving_funcs[2];
    JSValue handler;
    JSValue sk_context;
} JSPromiseReactionData;
",
    },
    Patch {
        why: "freeing a promise reaction frees its async context",
        old: "    JS_FreeValueRT(rt, rd->handler);
    js_free_rt(rt, rd);
",
        new: "    JS_FreeValueRT(rt, rd->handler);
    JS_FreeValueRT(rt, rd->sk_context);
    js_free_rt(rt, rd);
",
    },
    Patch {
        why: "settling a promise queues its reactions in their async contexts",
        old: "        JS_EnqueueJob(ctx, promise_reaction_job, 5, args);
        list_del(&rd->link);
",
        new: "        JSValue sk_outer = sk_context;
        sk_context = rd->sk_context;
        JS_EnqueueJob(ctx, promise_reaction_job, 5, args);
        sk_context = sk_outer;
        list_del(&rd->link);
",
    },
    Patch {
        why: "the collector sees the async context of a promise reaction",
        old: "            JS_MarkValue(rt, rd->handler, mark_func);
",
        new: "            JS_MarkValue(rt, rd->handler, mark_func);
            JS_MarkValue(rt, rd->sk_context, mark_func);
",
    },
    Patch {
        why: "an error that leaves a reaction without a promise of its own is not swallowed",
        old: "        res2 = JS_Call(ctx, func, JS_UNDEFINED, 1, vc(&res));
    } else {
        res2 = JS_UNDEFINED;
    }
",
        new: "        res2 = JS_Call(ctx, func, JS_UNDEFINED, 1, vc(&res));
    } else if (is_reject) {
        res2 = JS_Throw(ctx, js_dup(res));
    } else {
        res2 = JS_UNDEFINED;
    }
",
    },
    Patch {
        why: "one place settles promises as `new Promise` says, for the engine and for us",
        old: "    if (is_reject || !JS_IsObject(resolution)) {
        goto done;
    } else if (js_same_value(ctx, resolution, s->promise)) {
        JS_ThrowTypeError(ctx, \"promise self resolution\");
        goto fail_reject;
    }
    then = JS_GetProperty(ctx, resolution, JS_ATOM_then);
    if (JS_IsException(then)) {
        JSValue error;
    fail_reject:
        error = JS_GetException(ctx);
        fulfill_or_reject_promise(ctx, s->promise, error, true);
        JS_FreeValue(ctx, error);
    } else if (!JS_IsFunction(ctx, then)) {
        JS_FreeValue(ctx, then);
    done:
        fulfill_or_reject_promise(ctx, s->promise, resolution, is_reject);
    } else {
        args[0] = s->promise;
        args[1] = resolution;
        args[2] = then;
        JS_EnqueueJob(ctx, js_promise_resolve_thenable_job, 3, args);
        JS_FreeValue(ctx, then);
    }
    return JS_UNDEFINED;
",
        new: "    sk_promise_settle(ctx, s->promise, resolution, is_reject);
    return JS_UNDEFINED;
",
    },
    Patch {
        why: "a promise can be made without the functions that settle it",
        old: "    if (js_create_resolving_functions(ctx, resolving_funcs, obj)) {
        JS_FreeValue(ctx, obj);
        return JS_EXCEPTION;
    }
    rt = ctx->rt;
",
        new: "    if (resolving_funcs && js_create_resolving_functions(ctx, resolving_funcs, obj)) {
        JS_FreeValue(ctx, obj);
        return JS_EXCEPTION;
    }
    rt = ctx->rt;
",
    },
    Patch {
        why: "registering a promise reaction captures the async context",
        old: "        rd->handler = js_dup(handler);
        rd_array[i] = rd;
",
        new: "        rd->handler = js_dup(handler);
        rd->sk_context = js_dup(sk_context);
        rd_array[i] = rd;
",
    },
];
