//! Follows the device's orders in the broker's store, and gives each on to the preparer.

use autotiler_core::{DeviceId, order::Order};
use autotiler_transport::{Connection, OrderBook, backoff::Backoff, orders::OpenError};

use crate::handoff::{Given, Giver};

/// Gives the orders of `device` to `to` until nobody takes them.
pub async fn follow(connection: Connection, device: DeviceId, to: Giver<Order>) {
    let mut watch = open(&connection).await.watch(&device);
    loop {
        match watch.next().await.order {
            Some(Ok(order)) => {
                // An order that was not yet begun is of no use once there is a newer one.
                if let Given::Refused(_) = to.give(order) {
                    return;
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, cause = ?std::error::Error::source(&error).map(ToString::to_string),
                    "order passed over");
            }
            None => tracing::info!("orders were withdrawn; staying at the last one"),
        }
    }
}

/// The book of orders, once the broker has one.
async fn open(connection: &Connection) -> OrderBook {
    let mut attempt = 0;
    loop {
        connection.wait_up().await;
        match OrderBook::open(connection).await {
            Ok(book) => return book,
            Err(error @ OpenError::NoJetStream(_)) => {
                tracing::warn!(%error, "going on with the point of the command line");
                // Another broker may come.
                connection.wait_down().await;
            }
            Err(error) => {
                attempt += 1;
                tracing::debug!(%error, "orders");
                tokio::time::sleep(Backoff::default().delay(attempt)).await;
            }
        }
    }
}
