//! Somebody without a certificate at the mesh's port: noise, and QUIC that means ill.
//!
//! **Owns** what is sent. **Must not know** what nodes do with it. **Enter at** [`attack`].

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use quinn::{ClientConfig, Connection, Endpoint, crypto::rustls::QuicClientConfig};
use tokio::{net::UdpSocket, time::timeout};

use self::trusting::Trusting;
use crate::{cluster::MESH_PORT, rng::Rng, stage::Stage};

mod trusting;

/// Datagrams that are not QUIC, or only begin like it.
pub const GARBAGE: &str = "garbage datagrams";
/// QUIC peers without a certificate that nobody talked to.
pub const REFUSED: &str = "unauthenticated peers turned away";
/// Streams of joining peers that carried no join.
pub const FRAMES: &str = "malformed frames on join streams";

/// The largest UDP payload over IPv4; it travels in fragments.
const OVERSIZED: usize = 65_507;
const MTU: u64 = 1472;
const CLASSES: [&[u8]; 5] = [b"skerry-raft/1", b"skerry-objects/1", b"skerry-feed/1", b"skerry-bulk/1", b"h3"];
const JOIN: &[u8] = b"skerry-join/1";
/// BOUND: how long a node may take to turn a peer away.
const PATIENCE: Duration = Duration::from_secs(20);
const NAME: &str = "n1.chaos.skerry-mesh";

/// From the last host, throws `datagrams` at each of the nodes, and calls each in every class.
///
/// # Errors
/// When a node answers a peer that it must not know.
pub async fn attack(stage: &mut Stage, nodes: &[usize], datagrams: u64) -> Result<()> {
    let hosts = stage.cluster.network().hosts();
    let inside = hosts.last().context("the network has hosts")?.inside().clone();
    let victims: Vec<SocketAddr> = nodes.iter().map(|at| (hosts[*at].address(), MESH_PORT).into()).collect();
    for victim in victims {
        let rng = Rng::new(stage.rng.next_u64());
        stage.coverage.saw(GARBAGE, inside.spawn(garbage(victim, rng, datagrams)).await??);
        stage.coverage.saw(REFUSED, inside.spawn(call_all(victim)).await??);
        let rng = Rng::new(stage.rng.next_u64());
        stage.coverage.saw(FRAMES, inside.spawn(frames(victim, rng)).await??);
    }
    Ok(())
}

async fn garbage(victim: SocketAddr, mut rng: Rng, count: u64) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let mut sent = 0;
    for turn in 0..count {
        let size = match turn % 8 {
            0 => OVERSIZED,
            _ => usize::try_from(1 + rng.below(MTU))?,
        };
        let mut datagram = noise(&mut rng, size);
        if turn % 2 == 0 && size > 5 {
            // An initial packet of QUIC version 1, as far as its first bytes.
            datagram[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
        }
        // A full buffer is not what is tested.
        if socket.send_to(&datagram, victim).await.is_ok() {
            sent += 1;
        }
        if turn % 64 == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(sent)
}

fn noise(rng: &mut Rng, size: usize) -> Vec<u8> {
    (0..size.div_ceil(8)).flat_map(|_| rng.next_u64().to_le_bytes()).take(size).collect()
}

/// In every class a peer without a certificate is turned away before it hears anything.
async fn call_all(victim: SocketAddr) -> Result<u64> {
    let mut refused = 0;
    for class in CLASSES {
        let name = String::from_utf8_lossy(class).into_owned();
        let heard = timeout(PATIENCE, call(victim, class)).await;
        let heard = heard.with_context(|| format!("{victim} neither answers nor refuses {name}"))?;
        if let Ok(answer) = heard {
            bail!("{victim} answers a peer without a certificate on {name} with {} bytes", answer.len());
        }
        refused += 1;
    }
    Ok(refused)
}

/// What is heard on a stream of a class; an error when the peer is turned away.
async fn call(victim: SocketAddr, class: &[u8]) -> Result<Vec<u8>> {
    let (_endpoint, connection) = connect(victim, class).await?;
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&[0, 0, 0, 2, 8, 1]).await?;
    send.finish()?;
    Ok(receive.read_to_end(1 << 16).await?)
}

/// A joining node needs no certificate, but a frame that is none gives nothing: not a member list, not a certificate.
async fn frames(victim: SocketAddr, mut rng: Rng) -> Result<u64> {
    let mut sent = 0;
    let long = [u32::MAX.to_be_bytes().to_vec(), noise(&mut rng, 4096)].concat();
    let sizes: [u64; 3] = [1, 60, 9000];
    let frames = sizes.map(|size| {
        let content = noise(&mut rng, usize::try_from(size).unwrap_or(0));
        [u32::try_from(size).unwrap_or(0).to_be_bytes().to_vec(), content].concat()
    });
    for frame in frames.into_iter().chain([long]) {
        let (_endpoint, connection) = timeout(PATIENCE, connect(victim, JOIN)).await.context("no handshake")??;
        let heard = timeout(PATIENCE, exchange(&connection, &frame)).await.context("a frame is not answered")?;
        let longest = heard.map_or(0, |answer| answer.len());
        // A refusal is a line of text; a certificate with the members takes more.
        ensure!(longest < 512, "{victim} answers a malformed join with {longest} bytes");
        sent += 1;
    }
    Ok(sent)
}

async fn exchange(connection: &Connection, frame: &[u8]) -> Result<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(frame).await?;
    send.finish()?;
    Ok(receive.read_to_end(1 << 16).await?)
}

async fn connect(victim: SocketAddr, class: &[u8]) -> Result<(Endpoint, Connection)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    tls.alpn_protocols = vec![class.to_vec()];
    let mut endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)));
    let connection = endpoint.connect(victim, NAME)?.await?;
    Ok((endpoint, connection))
}
