//! Recursion in every form ends in a JavaScript error that the worker can catch, never in a trap.

use skerry_node::runtime::worker::WorkerError;

use crate::support::{runtime, spec, text, worker};

/// Each body runs until the stack is used up; the worker answers with the error's class.
const FORMS: &[(&str, &str)] = &[
    ("function", "function f() { return f() + 1 } f()"),
    ("arguments", "function f(...a) { return f(...a) } f(1, 2, 3)"),
    ("method and closure", "const o = { m() { return [1].map(() => this.m()) } }; o.m()"),
    ("constructor", "class A { constructor() { new A() } } new A()"),
    ("getter", "const o = { get x() { return this.x } }; o.x"),
    ("proxy", "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x"),
    ("proxy handler", "const p = new Proxy({}, { get(t, k, r) { return r[k] } }); p.x"),
    ("toString", "const o = { toString() { return '' + this } }; '' + o"),
    ("valueOf", "const o = { valueOf() { return +this } }; +o"),
    ("sort", "function f() { [2, 1].sort(f) } f()"),
    ("replace", "function f() { return 'a'.replace(/a/, f) } f()"),
    (
        "bound",
        "let f = () => 1; for (let i = 0; i < 1e5; i++) { f = f.bind(null); Object.defineProperty(f, 'name', { value: '' }) } f()",
    ),
    ("JSON.stringify", "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; JSON.stringify(o)"),
    ("JSON.stringify array", "let o = []; for (let i = 0; i < 1e5; i++) o = [o]; JSON.stringify(o)"),
    ("JSON.parse", "JSON.parse('['.repeat(1e5) + ']'.repeat(1e5))"),
    ("JSON.parse object", "JSON.parse('{\"a\":'.repeat(1e5) + '1' + '}'.repeat(1e5))"),
    ("JSON.parse reviver", "function f() { return JSON.parse('[1]', f) } f()"),
    ("regexp groups", "new RegExp('('.repeat(1e5) + ')'.repeat(1e5))"),
    ("regexp backtracking", "/^(a|a)*$/.exec('a'.repeat(1e6) + 'b') ?? (() => { throw new RangeError('no match') })()"),
    ("generator", "function* g() { yield* g() } [...g()]"),
    ("iterator", "const o = { *[Symbol.iterator]() { yield* this } }; [...o]"),
    ("flat", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.flat(Infinity)"),
    ("array join", "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; String(a)"),
    ("instanceof", "class A { static [Symbol.hasInstance](v) { return v instanceof A } } 1 instanceof A"),
    ("structuredClone", "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; structuredClone(o)"),
    ("promise then", "let p = { then(r) { return this.then(r) } }; p.then()"),
    ("async function", "let n = 0; async function f() { n++; return f() } f(); throw new RangeError(String(n))"),
    (
        "event dispatch",
        "const t = new EventTarget(); t.addEventListener('x', () => t.dispatchEvent(new Event('x'))); t.dispatchEvent(new Event('x')); throw new RangeError('reported')",
    ),
];

#[tokio::test]
async fn every_form_of_deep_recursion_is_an_error_that_can_be_caught() {
    let runtime = runtime();
    let mut wrong = Vec::new();
    for (name, body) in FORMS {
        let source = format!(
            "export default {{ fetch() {{ try {{ {body}; return new Response('no error') }}\n\
             catch (e) {{ return new Response(e?.constructor?.name + ': ' + e?.message) }} }} }}"
        );
        let mut spec = spec(&[("index.js", &source)]);
        spec.limits.cpu = std::time::Duration::from_secs(20);
        let answer = text(&runtime, &std::sync::Arc::new(spec), "/").await;
        match answer {
            Ok(answer) if answer.starts_with("RangeError") || answer.starts_with("SyntaxError") => {}
            // Backtracking keeps its states on the heap.
            Ok(answer) if *name == "regexp backtracking" && answer.starts_with("InternalError") => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Forms that the parser reads in a loop, so that they load however long they are. None exports a handler.
const ITERATIVE: &[&str] = &["commas", "additions", "elses"];

#[tokio::test]
async fn deeply_nested_source_is_a_load_error() {
    let runtime = runtime();
    let forms = [
        ("parentheses", format!("export default {}1{}", "(".repeat(100_000), ")".repeat(100_000))),
        ("arrays", format!("export default {}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("blocks", format!("{}{}; export default {{}}", "{".repeat(100_000), "}".repeat(100_000))),
        ("functions", format!("{}{}; export default {{}}", "function f(){".repeat(50_000), "}".repeat(50_000))),
        ("arrows", format!("export default {} 1", "a=>".repeat(100_000))),
        ("unary", format!("export default {} 1", "!".repeat(200_000))),
        ("templates", format!("export default {}{}", "`${".repeat(50_000), "}`".repeat(50_000))),
        ("conditionals", format!("export default {} 1", "1?1:".repeat(100_000))),
        ("ifs", format!("{} ; export default {{}}", "if(1)".repeat(100_000))),
        ("powers", format!("export default {} 1", "1**".repeat(100_000))),
        ("classes", format!("{}{}; export default {{}}", "class A{static{".repeat(20_000), "}}".repeat(20_000))),
        ("patterns", format!("const {}a{} = 1; export default {{}}", "[".repeat(50_000), "]".repeat(50_000))),
        ("commas", format!("export default ({}1)", "1,".repeat(200_000))),
        ("additions", format!("export default {}1", "1+".repeat(200_000))),
        ("calls", format!("export default {}", "f()".repeat(100_000))),
        ("elses", format!("{} ; export default {{}}", "if(0);else ".repeat(100_000))),
    ];
    let mut wrong = Vec::new();
    for (name, source) in forms {
        let mut spec = spec(&[("index.js", &source)]);
        spec.limits.startup_cpu = std::time::Duration::from_secs(20);
        spec.limits.cpu = std::time::Duration::from_secs(20);
        let answer = text(&runtime, &std::sync::Arc::new(spec), "/").await;
        let fine = match &answer {
            Err(WorkerError::Load(error)) => !error.to_string().contains("crash"),
            Err(WorkerError::NoHandler { .. }) => ITERATIVE.contains(&name),
            _ => false,
        };
        if !fine {
            wrong.push(format!("{name}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_isolate_goes_on_after_a_stack_overflow() {
    let runtime = runtime();
    let worker = worker(
        "let n = 0; function f() { return f() + 1 }
         export default { fetch() { try { f() } catch {} return new Response(String(++n)) } }",
    );
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "1");
    assert_eq!(text(&runtime, &worker, "/").await.unwrap(), "2");
}

#[tokio::test]
async fn ordinary_recursion_goes_thousands_of_calls_deep() {
    let runtime = runtime();
    let spec = spec(&[(
        "index.js",
        "let n = 0; function f() { n++; return f() + 1 }
         function depth(s, e) { let low = 1, high = 1e6; while (low < high) { const mid = (low + high + 1) >> 1; try { JSON.parse(s.repeat(mid) + e.repeat(mid)); low = mid } catch { high = mid - 1 } } return low }
         export default { fetch() { try { f() } catch {} return Response.json([n, depth('[', ']')]) } }",
    )]);
    let answer = text(&runtime, &std::sync::Arc::new(spec), "/").await.unwrap();
    println!("{answer}");
    let depths: Vec<u32> = serde_json::from_str(&answer).unwrap();
    assert!(depths[0] > 2000 && depths[1] > 1000, "{depths:?}");
}
