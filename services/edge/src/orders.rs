//! Follows the device's orders in the broker's store, and gives each on to the preparer.

use autotiler_core::{DeviceId, order::Order};
use autotiler_transport::{Connection, OrderWatch};

use crate::handoff::{Given, Giver};

/// Gives the orders of `device` to `to` until nobody takes them.
pub async fn follow(connection: Connection, device: DeviceId, to: Giver<Order>) {
    let mut watch = OrderWatch::new(&connection, &device);
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
