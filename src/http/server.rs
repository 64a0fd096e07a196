//! A server on one port: actix behind the table of connections.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use actix_http::{HttpService, Protocol};
use actix_server::Server;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::web::ServiceConfig;
use tokio::net::TcpStream;

use super::connection::{Connection, Connections};
use super::exchange;

/// How long a connection is kept for another request.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// How long a client may take for the head of its first request.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long requests that are being answered may go on after the first signal, in seconds.
const ANSWER_WITHIN_SECONDS: u64 = 5;
/// Connections that a worker may be handed beyond its share of those that the table lets in, so that
/// the table comes to see who wants in, and decides who goes.
const TO_DECIDE: usize = 64;

/// Where a server listens, for whoever answers differently there.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListensAt(pub(super) SocketAddr);

/// Serves these routes on this socket.
///
/// # Errors
/// If the socket cannot be used.
pub fn start<R>(listener: TcpListener, connections: Connections, routes: R) -> io::Result<Server>
where
    R: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let address = listener.local_addr()?;
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let for_each = connections.limits().connections.div_ceil(workers) + TO_DECIDE;
    let factory = move || {
        let routes = routes.clone();
        let app = App::new()
            .app_data(ListensAt(address))
            .wrap(from_fn(exchange::keep))
            .configure(move |config| routes(config));
        let http = HttpService::build()
            .keep_alive(KEPT_FOR)
            .client_request_timeout(HEAD_WITHIN)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection, data| {
                data.insert(connection.member().clone());
            })
            .finish(map_config(app, |()| AppConfig::default()));
        let connections = connections.clone();
        fn_service(move |socket: TcpStream| std::future::ready(let_in(&connections, socket))).and_then(http)
    };
    let server = Server::build().workers(workers).max_concurrent_connections(for_each);
    let server = server.shutdown_timeout(ANSWER_WITHIN_SECONDS).disable_signals();
    Ok(server.listen("http", listener, factory)?.run())
}

type LetIn = (Connection, Protocol, Option<SocketAddr>);

fn let_in(connections: &Connections, socket: TcpStream) -> Result<LetIn, actix_http::error::DispatchError> {
    let peer = socket.peer_addr()?;
    let member = connections.admit(peer.ip(), Instant::now()).map_err(io::Error::other)?;
    Ok((Connection::new(socket, member.into()), Protocol::Http1, Some(peer)))
}
