//! Sensors on other machines at their door: who is let in, what is taken, who is told what.

use crate::{
    city,
    est::{City, Said, shown, texts},
};
use model::{Plan, PlanStatus};
use serde_json::{Value, json};
use server::{Order, intake::Report};
use std::time::Duration;

impl City {
    /// Enrols a sensor by that name.
    async fn sensor(&self, name: &str) {
        let asked = json!({ "name": name, "profile": "sensor" });
        let (status, made) = self.api("POST", "/enrolment-tokens", &asked).await;
        assert_eq!(status, 201, "{made}");
        self.request(name, &[]);
        let user = format!("x:{}", made["token"].as_str().unwrap());
        let said = self.est("simpleenroll", name, &["-u", &user]).await;
        self.keep(&said, name);
    }

    /// What the holder of a certificate posts as a sensor.
    async fn post(&self, name: &str, path: &str, body: &str) -> Said {
        std::fs::write(self.dir().join("posted"), body).unwrap();
        let more = ["-X", "POST", "-H", "Content-Type: application/json", "--data-binary", "@posted"];
        let shown = shown(name);
        self.curl(path, &[texts(&shown).as_slice(), more.as_slice()].concat()).await
    }

    async fn tells(&self, name: &str, number: u64, reports: &[Report]) -> Said {
        let notices: Vec<Value> = reports.iter().map(|one| serde_json::to_value(one).unwrap()).collect();
        let batch =
            json!({ "version": 1, "number": number, "shed": 0, "program": "0.1.0", "notices": notices });
        self.post(name, wire::NOTICES, &batch.to_string()).await
    }

    /// The orders that a sensor finds, with the number of the last.
    async fn orders(&self, name: &str, after: u64) -> (Vec<Order>, u64) {
        let said = self.post(name, wire::ORDERS, &json!({ "version": 1, "after": after }).to_string()).await;
        assert_eq!(said.status, 200, "{said:?}");
        let orders = wire::Orders::from_json(said.body.as_bytes()).unwrap().orders;
        let last = orders.last().map_or(after, |order| order.number);
        (orders.into_iter().map(|one| serde_json::from_value(one.order).unwrap()).collect(), last)
    }
}

/// A plan of a sensor's own.
fn plan(city: &City, sensor: &str) -> Plan {
    let now = city.served.state.now();
    let id = model::PlanId::from_content(model::ContentHasher::new().part(sensor));
    Plan { id, ..city::plan(now, PlanStatus::Proposed, Vec::new()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sensors_good_certificate_opens_the_door_and_only_notices_pass() {
    let city = City::new().await;
    city.enrolled("meter").await;
    city.sensor("north").await;
    let nobody = city.curl(wire::NOTICES, &["-X", "POST", "-d", "{}"]).await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
    for path in [wire::NOTICES, wire::ORDERS] {
        let other = city.post("meter", path, "{}").await;
        assert_eq!(other.status, 403, "{other:?}");
        assert!(other.body.contains("is of the profile device, and only sensors speak here"), "{other:?}");
    }
    let batch = |notices: Value| {
        json!({ "version": 1, "number": 1, "shed": 0, "program": "0.1.0", "notices": notices }).to_string()
    };
    let many = json!(vec![json!({}); wire::limit::NOTICES + 1]);
    let large = " ".repeat(wire::limit::NOTICES_BYTES + 1);
    for (body, status, expected) in [
        (large.as_str(), 413, "expected\":\"at most 8388608 bytes"),
        ("{", 422, "not readable at line 1 column 1"),
        ("{\"version\":2}", 422, "version 1"),
        (&batch(json!([7])), 422, "`notices` is 7: expected objects"),
        (&batch(many), 422, "expected at most 128"),
        (
            &batch(json!([{"notice": "gossip", "data": 1}])),
            422,
            "`notices[0]` is none: unknown variant `gossip`",
        ),
    ] {
        let said = city.post("north", wire::NOTICES, body).await;
        let cut: String = said.body.chars().take(400).collect();
        assert_eq!((said.status, said.body.contains(expected)), (status, true), "{expected}: {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_twice_is_one_and_nobody_speaks_of_anothers_plans() {
    let city = City::new().await;
    city.sensor("north").await;
    city.sensor("south").await;
    let now = city.served.state.now();
    let counted =
        Report::Stats { status: Box::default(), counted: vec![("packets".into(), 7), ("gossip".into(), 9)] };
    let incident = Report::Incident(Box::new(city::takeover(now, 240)));
    let own = Report::Plan(Box::new(plan(&city, "north")));
    for _ in 0..2 {
        let said = city.tells("north", 5, &[incident.clone(), own.clone(), counted.clone()]).await;
        assert_eq!((said.status, said.body.contains("\"number\":5")), (200, true), "{said:?}");
    }
    let repository = city.served.state.repository();
    assert_eq!(repository.counter_total("packets").await.unwrap(), 7);
    assert_eq!(repository.counter_total("gossip").await.unwrap(), 0);
    let sensors = repository.sensors().await.unwrap();
    assert_eq!((sensors.len(), sensors[0].name.as_str(), sensors[0].number), (1, "north", 5));
    // Another sensor changes nothing of it.
    let mut theirs = plan(&city, "north");
    theirs.status = PlanStatus::Refused;
    city.tells("south", 1, &[Report::Plan(Box::new(theirs))]).await;
    let kept = repository.plan(&plan(&city, "north").id).await.unwrap().unwrap();
    assert_eq!(kept.plan.status, PlanStatus::Proposed);
    let whose = repository.sensor_of_plan(&kept.plan.id).await.unwrap().unwrap();
    assert_eq!(whose, sensors[0].id);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_go_to_whom_they_are_for_and_the_lever_to_all() {
    let city = City::new().await;
    city.sensor("north").await;
    city.sensor("south").await;
    let mut after = [0, 0];
    for (name, after) in ["north", "south"].into_iter().zip(&mut after) {
        // What holds now comes first.
        let (orders, last) = city.orders(name, 0).await;
        assert!(
            matches!(orders.as_slice(), [Order::Exceptions(_), Order::Known(_), Order::Suspended { .. }]),
            "{orders:?}"
        );
        *after = last;
    }
    let own = plan(&city, "north");
    let waiting = Plan { commands: vec![city::isolate(city.served.state.now())], ..own };
    let now = city.served.state.now();
    let incident = Report::Incident(Box::new(city::takeover(now, 240)));
    city.tells("north", 1, &[incident, Report::Plan(Box::new(waiting.clone()))]).await;
    // Whoever waits for orders has one as soon as there is one.
    let (north, approved) = tokio::join!(city.orders("north", after[0]), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        city.api("POST", &format!("/plans/{}/approve", waiting.id), &Value::Null).await
    });
    assert_eq!(approved.0, 202, "{approved:?}");
    assert!(matches!(north.0.as_slice(), [Order::Approve { plan, .. }] if *plan == waiting.id), "{north:?}");
    let (status, said) = city.api("POST", "/responding", &json!({ "responding": false })).await;
    assert_eq!(status, 202, "{said}");
    for (name, after) in [("north", north.1), ("south", after[1])] {
        let (orders, _) = city.orders(name, after).await;
        assert!(matches!(orders.as_slice(), [Order::StopResponding { .. }]), "{name}: {orders:?}");
        // What was not taken yet is told again.
        assert_eq!(city.orders(name, after).await.0.len(), 1);
    }
    // Revoked, it is heard no more.
    let (_, assets) = city.api("GET", "/assets?text=north", &Value::Null).await;
    let id = assets["items"][0]["id"].as_str().unwrap();
    assert_eq!(city.api("POST", &format!("/assets/{id}/revoke"), &json!({})).await.0, 200);
    let said = city.tells("north", 2, &[]).await;
    assert_eq!((said.status, said.body.contains("was revoked at")), (403, true), "{said:?}");
}
