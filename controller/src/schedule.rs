//! When each policy is swept: at its own interval, whatever the others wait for.
//!
//! Prometheus is asked for all policies at the same time, so that one that is dead delays no other policy. What follows,
//! deciding and ordering, is quick and done for one policy after the other.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::{sync::watch, time::Instant as TokioInstant};
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{Catalog, Matches, PolicyEntry, PolicyName},
    observe::{Observed, Observer},
    sweep::{Round, Surroundings, Sweeper},
};

/// Policies that Prometheus is asked for at the same time; more of them wait for an answer or for its time to be up.
const AT_ONCE: usize = 64;
/// Longest wait for something to change when no policy is due.
const IDLE: Duration = Duration::from_secs(1);
/// Silent devices are forgotten after this.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// Which policies are asked for, and when the next are due.
struct Schedule {
    observer: Observer,
    due: HashMap<PolicyName, TokioInstant>,
    asked: HashSet<PolicyName>,
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
}

/// What Prometheus said for a policy.
struct Answer {
    policy: Arc<PolicyEntry>,
    /// When it was due. Windows are reckoned by this: by when the answer came, one of two intervals would now and then
    /// take three.
    due: Instant,
    begin: Instant,
    observed: Observed,
}

/// Sweeps each policy at its own interval, until `cancel` is cancelled. A sweep under way is finished.
pub(crate) async fn sweep_all(
    around: Surroundings,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    cancel: CancellationToken,
) {
    let mut schedule = Schedule::new(around.observer.clone());
    let mut sweeper = Sweeper::new(around.clone());
    while !cancel.is_cancelled() {
        let current = catalog.borrow_and_update().clone();
        let matches = match_all(&around, &current);
        sweeper.forget(&matches);
        schedule.ask(&current.policies);
        around.board.retain_policies(|name| schedule.due.contains_key(name));
        let next = schedule.next();
        tokio::select! {
            Some(answer) = schedule.answers.next() => {
                if let Some(policy) = schedule.take(&answer, &current.policies) {
                    let Answer { due, begin, observed, .. } = &answer;
                    let (now, wall) = (due.saturating_duration_since(around.start), SystemTime::now());
                    let round = Round { policy, catalog: &current, matches: &matches, observed, now, wall };
                    sweeper.sweep(&round).await;
                    around.metrics.sweep_seconds.observe(begin.elapsed().as_secs_f64());
                }
            }
            () = tokio::time::sleep_until(next) => {}
            () = cancel.cancelled() => {}
            // A new policy is not kept waiting.
            _ = catalog.changed() => {}
        }
    }
}

/// Which policy each device follows now.
fn match_all(around: &Surroundings, catalog: &Catalog) -> Arc<Matches> {
    let now = around.start.elapsed();
    around.fleet.forget(now, FORGET_AFTER);
    let speaking = around.fleet.speaking(now);
    let matches = catalog.matches(speaking.keys());
    around.metrics.policies.set(catalog.policies.len() as f64);
    let followed = speaking.keys().filter(|device| matches.winner.contains_key(*device)).count();
    around.metrics.devices.set(followed as f64);
    Arc::new(matches)
}

impl Schedule {
    fn new(observer: Observer) -> Self {
        Self { observer, due: HashMap::new(), asked: HashSet::new(), answers: FuturesUnordered::new() }
    }

    /// Asks for those of `policies` that are due, as many as may be.
    fn ask(&mut self, policies: &[Arc<PolicyEntry>]) {
        let now = TokioInstant::now();
        self.due.retain(|name, _| policies.iter().any(|policy| policy.name == *name));
        for policy in policies {
            let due = *self.due.entry(policy.name.clone()).or_insert(now);
            if due > now || self.answers.len() >= AT_ONCE || self.asked.contains(&policy.name) {
                continue;
            }
            // A sweep that took long is not made up for.
            let next = (due + policy.prometheus.interval).max(now);
            let due = if next > now { due } else { now }.into_std();
            self.due.insert(policy.name.clone(), next);
            self.asked.insert(policy.name.clone());
            let (observer, policy) = (self.observer.clone(), policy.clone());
            let answer = async move {
                let begin = Instant::now();
                let observed = observer.observe(&policy.prometheus).await;
                Answer { policy, due, begin, observed }
            };
            self.answers.push(answer.boxed());
        }
    }

    /// The policy that `answer` is for; none if it is gone, or would be asked for otherwise by now.
    fn take<'p>(&mut self, answer: &Answer, policies: &'p [Arc<PolicyEntry>]) -> Option<&'p PolicyEntry> {
        let Answer { policy: asked, .. } = answer;
        self.asked.remove(&asked.name);
        let policy = policies.iter().find(|policy| policy.name == asked.name)?;
        if policy.prometheus != asked.prometheus {
            self.due.remove(&asked.name);
            return None;
        }
        Some(policy)
    }

    /// When to look again, if nothing happens before.
    fn next(&self) -> TokioInstant {
        let idle = TokioInstant::now() + IDLE;
        let waiting = self.due.iter().filter(|(name, _)| !self.asked.contains(*name));
        let first = waiting.map(|(_, due)| *due).min().filter(|_| self.answers.len() < AT_ONCE);
        first.map_or(idle, |first| first.min(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalog::tests::policy, observe::PrometheusSettings};

    /// A policy that asks at `address`, without a break between its sweeps.
    fn asking(name: &str, address: String) -> Arc<PolicyEntry> {
        let entry = policy(name);
        let timeout = Duration::from_secs(3600);
        let prometheus =
            PrometheusSettings { address, timeout, interval: Duration::ZERO, ..entry.prometheus };
        Arc::new(PolicyEntry { prometheus, ..entry })
    }

    #[tokio::test]
    async fn a_prometheus_that_never_answers_delays_no_other_policy() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address =
            |listener: &tokio::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (dead, gone) = (address(&silent), address(&closed));
        drop(closed);
        // What refuses at once stands for what answers at once.
        let policies = [asking("dead", dead), asking("quick", gone)];
        let mut schedule = Schedule::new(Observer::try_new().unwrap());
        for _ in 0..20 {
            schedule.ask(&policies);
            let answer = schedule.answers.next().await.unwrap();
            assert_eq!(schedule.take(&answer, &policies).unwrap().name.0, "quick");
        }
        assert_eq!(schedule.asked.iter().map(|name| name.0.as_str()).collect::<Vec<_>>(), ["dead"]);
    }

    #[tokio::test]
    async fn the_answer_for_a_policy_that_changed_or_went_is_not_used() {
        let mut schedule = Schedule::new(Observer::try_new().unwrap());
        let before = [asking("p", "http://127.0.0.1:1".to_owned())];
        let after = [asking("p", "http://127.0.0.1:2".to_owned())];
        schedule.ask(&before);
        let answer = schedule.answers.next().await.unwrap();
        assert!(schedule.take(&answer, &after).is_none() && schedule.take(&answer, &[]).is_none());
        schedule.ask(&after);
        assert_eq!(schedule.answers.len(), 1, "it is asked anew at once");
    }
}
