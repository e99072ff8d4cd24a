import { deepEqual, equal, ok, test, throws } from "./harness.js";

const parts = (url) => [url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.origin];

test("a URL has its parts", () => {
  const url = new URL("https://user:pa%20ss@Example.COM:8080/a/./b/../c?x=1&y#frag");
  equal(url.href, "https://user:pa%20ss@example.com:8080/a/c?x=1&y#frag");
  deepEqual(parts(url), [
    "https:", "user", "pa%20ss", "example.com:8080", "example.com", "8080", "/a/c", "?x=1&y", "#frag", "https://example.com:8080",
  ]);
  equal(String(url), url.href);
  equal(JSON.stringify({ url }), JSON.stringify({ url: url.href }));
  equal(Object.prototype.toString.call(url), "[object URL]");
});

test("parsing follows the standard", () => {
  const href = (text, base) => new URL(text, base).href;
  equal(href("HTTP://EXAMPLE.com:80"), "http://example.com/");
  equal(href("https://example.com:443/"), "https://example.com/");
  equal(href("  https://example.com/ \n"), "https://example.com/");
  equal(href("https://exa\tmple.com/a\nb"), "https://example.com/ab");
  equal(href("https:\\\\example.com\\a"), "https://example.com/a");
  equal(href("http://0x7f.1/"), "http://127.0.0.1/");
  equal(href("http://[::0:1]/"), "http://[::1]/");
  equal(href("https://münchen.de/ü?ü#ü"), "https://xn--mnchen-3ya.de/%C3%BC?%C3%BC#%C3%BC");
  equal(href("https://example.com/%7e/%2E%2e/x"), "https://example.com/x");
  equal(href("https://example.com/a b?c d#e f"), "https://example.com/a%20b?c%20d#e%20f");
  equal(href("https://example.com?'\"<>"), "https://example.com/?%27%22%3C%3E");
  equal(href("https://example.com/\ud800"), "https://example.com/%EF%BF%BD");
  equal(href("data:text/plain,hi there"), "data:text/plain,hi there");
  equal(new URL("data:x").origin, "null");
  equal(new URL("blob:https://a.b/c").origin, "https://a.b");
});

test("relative URLs resolve against their base", () => {
  const base = "https://example.com/a/b?q#h";
  const href = (text) => new URL(text, base).href;
  equal(href("c"), "https://example.com/a/c");
  equal(href("/c"), "https://example.com/c");
  equal(href("../.."), "https://example.com/");
  equal(href("?x"), "https://example.com/a/b?x");
  equal(href("#x"), "https://example.com/a/b?q#x");
  equal(href(""), "https://example.com/a/b?q");
  equal(href("//other/x"), "https://other/x");
  equal(href("mailto:a@b"), "mailto:a@b");
  equal(new URL("x", new URL(base)).href, "https://example.com/a/x");
});

test("what is not a URL is a TypeError", () => {
  for (const bad of ["", "/a", "example.com", "http://", "http://a b/", "http://a:99999/", "https://[::1", "http://%", "http://256.256.256.256/"]) {
    throws(() => new URL(bad), TypeError);
    equal(URL.canParse(bad), false, bad);
    equal(URL.parse(bad), null, bad);
  }
  throws(() => new URL("a", "b"), TypeError);
  throws(() => new URL(), TypeError);
  throws(() => URL("https://a"), TypeError);
  throws(() => URL.canParse(), TypeError);
  equal(URL.canParse("a", "https://b"), true);
  const parsed = URL.parse("x", "https://b/");
  ok(parsed instanceof URL);
  equal(parsed.href, "https://b/x");
});

test("methods check what they are called on", () => {
  throws(() => Reflect.get(URL.prototype, "href", {}), TypeError);
  throws(() => URL.prototype.toString.call({}), TypeError);
});

/** Sets one part of a URL and returns the whole. */
function set(href, part, value) {
  const url = new URL(href);
  url[part] = value;
  return url.href;
}

test("setters follow the standard", () => {
  equal(set("https://a.b/", "protocol", "http"), "http://a.b/");
  equal(set("https://a.b/", "protocol", "http:foo"), "http://a.b/");
  equal(set("https://a.b/", "protocol", "mailto"), "https://a.b/");
  equal(set("https://a.b:80/", "protocol", "http"), "http://a.b/");
  equal(set("https://a.b/", "username", "me@"), "https://me%40@a.b/");
  equal(set("https://me@a.b/", "password", "p:w"), "https://me:p%3Aw@a.b/");
  equal(set("https://me:pw@a.b/", "username", ""), "https://:pw@a.b/");
  equal(set("https://a.b/", "host", "c.d:81"), "https://c.d:81/");
  equal(set("https://a.b:8/", "host", "c.d"), "https://c.d:8/");
  equal(set("https://a.b/", "host", ""), "https://a.b/");
  equal(set("https://a.b:8/", "hostname", "c.d"), "https://c.d:8/");
  equal(set("https://a.b/", "hostname", "c.d:81"), "https://a.b/");
  equal(set("https://a.b/", "port", "81"), "https://a.b:81/");
  equal(set("https://a.b:81/", "port", ""), "https://a.b/");
  equal(set("https://a.b:81/", "port", "443"), "https://a.b/");
  equal(set("https://a.b/", "port", "99999"), "https://a.b/");
  equal(set("https://a.b/", "port", "8080x"), "https://a.b:8080/");
  equal(set("https://a.b/x", "pathname", "y z?#"), "https://a.b/y%20z%3F%23");
  equal(set("https://a.b/x", "pathname", ""), "https://a.b/");
  equal(set("https://a.b/x", "search", "y=1"), "https://a.b/x?y=1");
  equal(set("https://a.b/x?y", "search", ""), "https://a.b/x");
  equal(set("https://a.b/x", "search", "?a#b"), "https://a.b/x?a%23b");
  equal(set("https://a.b/x", "hash", "y"), "https://a.b/x#y");
  equal(set("https://a.b/x#y", "hash", ""), "https://a.b/x");
  equal(set("https://a.b/x", "href", "http://c/"), "http://c/");
  equal(set("https://a.b/x", "hash", 5), "https://a.b/x#5");
});

test("URLs of the same text are independent of each other", () => {
  const [first, second] = [new URL("https://a.b/c?d=1"), new URL("https://a.b/c?d=1")];
  first.pathname = "/changed";
  first.searchParams.set("d", "2");
  equal(second.href, "https://a.b/c?d=1");
  equal(new URL("https://a.b/c?d=1").search, "?d=1");
  throws(() => new URL("nope"), TypeError);
  throws(() => new URL("nope"), TypeError);
});

test("a bad href leaves the URL as it was", () => {
  const url = new URL("https://a.b/c?d=1");
  throws(() => { url.href = "nope"; }, TypeError);
  equal(url.href, "https://a.b/c?d=1");
  throws(() => { "use strict"; url.origin = "x"; }, TypeError);
});

test("searchParams and the URL change together", () => {
  const url = new URL("https://a.b/?x=1&y=2");
  const params = url.searchParams;
  equal(params, url.searchParams);
  params.append("z", "a b&c");
  equal(url.search, "?x=1&y=2&z=a+b%26c");
  params.delete("x");
  params.set("y", "3");
  equal(url.href, "https://a.b/?y=3&z=a+b%26c");
  url.search = "?n=1";
  deepEqual([...params], [["n", "1"]]);
  params.delete("n");
  equal(url.href, "https://a.b/");
  equal(url.search, "");
  url.href = "https://c.d/?m=9";
  equal(params.get("m"), "9");
  params.sort();
  equal(url.href, "https://c.d/?m=9");
});

test("the query as written stays until a parameter changes", () => {
  const url = new URL("https://a.b/?a=%7E&b=~");
  equal(url.searchParams.get("b"), "~");
  equal(url.search, "?a=%7E&b=~");
  url.searchParams.append("c", "");
  equal(url.search, "?a=%7E&b=%7E&c=");
});
