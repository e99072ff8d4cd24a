//! wasmtime-wasi-http's own server example over wasmtime's pooling allocator: what a component costs without a platform
//! around it. Like `wasmtime serve`, it answers each request in a fresh instance; it has no limits, log or bindings.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, anyhow};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, Linker, ResourceTable},
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
    p2::{
        bindings::{ProxyPre, http::types::Scheme},
        body::HyperOutgoingBody,
    },
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(component)) = (arguments.next(), arguments.next()) else {
        return Err(anyhow!("usage: wasi_http_peer ADDRESS COMPONENT"));
    };
    let address: SocketAddr = address.parse().with_context(|| format!("`{address}` is not an address"))?;
    let proxy = Arc::new(load(&component).map_err(anyhow::Error::from).with_context(|| format!("load {component}"))?);
    let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        let proxy = Arc::clone(&proxy);
        spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&proxy), request));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            // wrk leaves in the middle of its last requests.
            if let Some(error) = served.err().filter(|error| !error.is_incomplete_message()) {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}

fn load(path: &str) -> wasmtime::Result<ProxyPre<Guest>> {
    let mut pool = PoolingAllocationConfig::new();
    pool.max_memories_per_component(4)
        .max_tables_per_component(10)
        .table_elements(64 << 10)
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .max_core_instances_per_component(100);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    ProxyPre::new(linker.instantiate_pre(&component)?)
}

async fn answer(proxy: Arc<ProxyPre<Guest>>, request: Request<Incoming>) -> Result<Response<HyperOutgoingBody>> {
    let mut store = Store::new(proxy.engine(), Guest::new());
    let (sender, receiver) = oneshot::channel();
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request).map_err(anyhow::Error::from)?;
    let out = store.data_mut().http().new_response_outparam(sender).map_err(anyhow::Error::from)?;
    let (failed, failure) = oneshot::channel();
    spawn(async move {
        let handled = async {
            let instance = proxy.instantiate_async(&mut store).await?;
            instance.wasi_http_incoming_handler().call_handle(&mut store, request, out).await
        };
        if let Err(error) = handled.await {
            let _answered_before = failed.send(error);
        }
    });
    match receiver.await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(match failure.await {
            Ok(error) => error.into(),
            Err(_) => anyhow!("the component never answered"),
        }),
    }
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "ends with its connection; the program has no other tasks")]
    tokio::spawn(future);
}

struct Guest {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Refuse,
    table: ResourceTable,
}

impl Guest {
    fn new() -> Self {
        Self { wasi: WasiCtx::builder().build(), http: WasiHttpCtx::new(), hooks: Refuse, table: ResourceTable::new() }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// The measured component makes no requests of its own.
struct Refuse;

type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send>;

impl WasiHttpHooks for Refuse {
    fn send_request(&mut self, _: Request<WasiBody>, _: Option<RequestOptions>, _: Transfer) -> Sending {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
