//! What several sources say of devices becomes assets, in both databases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod databases;
mod incidents;

use databases::{Database, on_both};
use identify::{
    Kinds,
    import::{self, Column},
    merge::{Known, Observed},
};
use ledger::Deed;
use model::{Asset, AssetStatus, AuthorityId, Criticality, Identifier, Kind, Layer, Mac, Timestamp};
use std::sync::Arc;
use store::{
    Admission, AssetFilter, Enrolled, IssuerKey, IssuerRecord, IssuerState, Joined, ListedAsset,
    NewCertificate, NotSaid, Paging, Parted, Repository, Retention, Saying, Says, Settled, Source,
};

on_both! {
    sources_that_share_an_identifier_are_one_asset,
    an_id_stays_while_any_source_does,
    a_list_is_taken_again_under_the_same_names,
    a_merge_is_undone_and_stays_undone,
    two_are_joined_and_parted_again,
    an_enrolled_asset_keeps_its_id_and_how_it_stands,
    who_is_suspended_does_not_become_another,
    what_is_declared_comes_before_what_is_guessed,
    what_is_listed_is_not_swept_away,
}

const SENSOR: Source = Source::Sensor(None);

fn decided(deed: Deed, about: &str) -> store::Decided {
    incidents::decided(deed, at(30), &[("asset", about)])
}

fn mac(last: u8) -> Mac {
    Mac([0, 0x40, 0x8c, 1, 2, last])
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

/// What a sensor sees from then to then: a camera, or so it seems.
fn camera(id: &str, known: Vec<Identifier>, from: i64, to: i64) -> Observed {
    let address = known.iter().filter_map(|by| match by {
        Identifier::Address(address) => Some(*address),
        _ => None,
    });
    let mac = known.iter().find_map(|by| match by {
        Identifier::Mac(mac) => Some(*mac),
        _ => None,
    });
    let asset = Asset {
        id: id.to_owned(),
        authority_id: AuthorityId::local(),
        layer: Layer::Device,
        kind: Kind("camera".into()),
        confidence: 60,
        reasons: vec!["serves rtsp".into()],
        criticality: Criticality::Ordinary,
        status: AssetStatus::Discovered,
        name: None,
        vendor: None,
        mac,
        addresses: address.collect(),
        functions: Vec::new(),
        first_seen: at(from),
        last_seen: at(to),
        declared: None,
    };
    let known = known.into_iter().map(|by| Known { by, during: Some((at(from), at(to))) }).collect();
    Observed { asset, known, talks: Vec::new() }
}

fn address(text: &str) -> Identifier {
    Identifier::Address(text.parse().unwrap())
}

fn rows(list: &str) -> Vec<import::Row> {
    import::read(list.as_bytes(), &Kinds::shipped()).unwrap()
}

async fn list(repository: &Repository, text: &str, when: i64) -> (u64, u64) {
    let decided = store::Decided { at: at(when), ..decided(Deed::AssetsListed, "list") };
    let listing = repository.list_assets(rows(text), decided).await.unwrap();
    (listing.new, listing.known)
}

async fn all(repository: &Repository) -> Vec<Asset> {
    let mut all = repository.assets(&AssetFilter::default(), Paging::new(1, 500)).await.unwrap().items;
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

async fn sources(repository: &Repository, id: &str) -> Vec<String> {
    repository.sayings(id).await.unwrap().iter().map(|saying| saying.source.to_string()).collect()
}

async fn sources_that_share_an_identifier_are_one_asset(database: Database) {
    let repository = database.open().await;
    let seen = camera("00:40:8c:01:02:01", vec![Identifier::Mac(mac(1)), address("10.2.0.5")], 10, 20);
    let Settled { asset, new } = repository.observe(SENSOR, seen).await.unwrap();
    assert_eq!((asset.id.as_str(), new, asset.declared.is_some()), ("00:40:8c:01:02:01", true, false));
    let listed = "name;mac;kind;owner;place;district;protected\n\
                  Crossing 7;00-40-8C-01-02-01;traffic-light-controller;Roads;Main St;North;yes\n\
                  Lamp 1;00-40-8C-01-02-02;;Roads;;;no\n";
    assert_eq!(list(&repository, listed, 30).await, (1, 1));
    let all = all(&repository).await;
    assert_eq!(all.len(), 2, "{all:?}");
    let crossing = &all[0];
    assert_eq!((crossing.id.as_str(), crossing.label().as_str()), ("00:40:8c:01:02:01", "Crossing 7"));
    assert_eq!((crossing.kind.as_str(), crossing.confidence), ("traffic-light-controller", 100));
    assert_eq!(crossing.criticality, Criticality::Protected);
    assert_eq!(crossing.declared.as_ref().unwrap().district.as_deref(), Some("North"));
    assert_eq!((crossing.first_seen, crossing.last_seen), (at(10), at(20)));
    assert_eq!(sources(&repository, &crossing.id).await, ["list", "sensor"]);
    for (text, expected) in [("main st", 1), ("roads", 2), ("nobody", 0)] {
        let filter = AssetFilter { text: Some(text.into()), ..AssetFilter::default() };
        assert_eq!(repository.assets(&filter, Paging::default()).await.unwrap().total, expected, "{text}");
    }
    // Another sensor that calls it by its address sees the same hardware.
    let other = camera("10.2.0.5", vec![Identifier::Mac(mac(1)), address("10.2.0.5")], 12, 40);
    let settled = repository.observe(Source::Sensor(Some("street 4".into())), other).await.unwrap();
    assert_eq!((settled.asset.id.as_str(), settled.new), ("00:40:8c:01:02:01", false));
    assert_eq!(settled.asset.last_seen, at(40));
    assert_eq!(repository.asset_once("10.2.0.5").await.unwrap().as_deref(), Some("00:40:8c:01:02:01"));
}

async fn an_id_stays_while_any_source_does(database: Database) {
    let repository = database.open().await;
    assert_eq!(list(&repository, "name,mac\nGate,00408c010203\n", 5).await, (1, 0));
    let id = all(&repository).await[0].id.clone();
    assert!(id.starts_with("list-"), "{id}");
    assert_eq!(
        (all(&repository).await[0].first_seen, all(&repository).await[0].last_seen),
        (at(5), Asset::NEVER)
    );
    // It is seen: the same asset, with what was seen.
    let seen = camera("00:40:8c:01:02:03", vec![Identifier::Mac(mac(3))], 10, 20);
    let settled = repository.observe(SENSOR, seen).await.unwrap();
    assert_eq!(
        (settled.asset.id.as_str(), settled.asset.kind.as_str(), settled.new),
        (id.as_str(), "camera", false)
    );
    // Off the list it is what the sensor says, under the id that it has.
    let off = decided(Deed::AssetDeclared, &id);
    assert!(repository.unlist_asset(&id, off.clone()).await.unwrap());
    assert!(!repository.unlist_asset(&id, off).await.unwrap());
    let all = all(&repository).await;
    assert_eq!((all.len(), all[0].id.as_str(), all[0].label().as_str()), (1, id.as_str(), id.as_str()));
    assert_eq!(sources(&repository, &id).await, ["sensor"]);
}

async fn a_list_is_taken_again_under_the_same_names(database: Database) {
    let repository = database.open().await;
    assert_eq!(list(&repository, "name,mac,place\nGate,00408c010203,here\nDoor,,hall\n", 5).await, (2, 0));
    assert_eq!(list(&repository, "name,mac,place\nGate,00408c010204,there\nDoor,,hall\n", 6).await, (0, 2));
    let all = all(&repository).await;
    let gate = all.iter().find(|asset| asset.label() == "Gate").unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!((gate.mac, gate.declared.as_ref().unwrap().place.as_deref()), (Some(mac(4)), Some("there")));
    // What only a list says goes with it.
    assert!(repository.unlist_asset(&gate.id, decided(Deed::AssetDeclared, &gate.id)).await.unwrap());
    assert_eq!(self::all(&repository).await.len(), 1);
    assert_eq!(repository.asset(&gate.id).await.unwrap(), None);
    // Several of one name are told by what they are known by.
    let lamps = "name,mac\nLamp,00408c010211\nLamp,00408c010212\n";
    assert_eq!(list(&repository, lamps, 7).await, (2, 0));
    assert_eq!(list(&repository, lamps, 8).await, (0, 2));
}

async fn a_merge_is_undone_and_stays_undone(database: Database) {
    let repository = database.open().await;
    let name = Identifier::Name("pole-7".into());
    let one = camera("00:40:8c:01:02:01", vec![Identifier::Mac(mac(1)), name.clone()], 10, 20);
    repository.observe(SENSOR, one).await.unwrap();
    // A device that knows its key and its name only.
    let other = camera("10.9.0.1", vec![name.clone(), Identifier::Uuid("u-1".into())], 15, 30);
    let settled = repository.observe(SENSOR, other.clone()).await.unwrap();
    assert_eq!((settled.asset.id.as_str(), settled.new), ("00:40:8c:01:02:01", false));
    let decision = decided(Deed::AssetParted, "00:40:8c:01:02:01");
    let parted =
        repository.part_asset("00:40:8c:01:02:01", SENSOR, "10.9.0.1", decision.clone()).await.unwrap();
    let Parted::Done(now, was) = parted else { panic!("{parted:?}") };
    assert_eq!((now.id.as_str(), was.id.as_str()), ("10.9.0.1", "00:40:8c:01:02:01"));
    // Seen again, both as before: they stay two.
    repository.observe(SENSOR, other).await.unwrap();
    let again = camera("00:40:8c:01:02:01", vec![Identifier::Mac(mac(1)), name], 10, 90);
    repository.observe(SENSOR, again).await.unwrap();
    let ids: Vec<String> = all(&repository).await.into_iter().map(|asset| asset.id).collect();
    assert_eq!(ids, ["00:40:8c:01:02:01", "10.9.0.1"]);
    let unknown = repository.part_asset("10.9.0.1", SENSOR, "nobody", decision.clone()).await.unwrap();
    assert_eq!(unknown, Parted::Unknown);
    let alone = repository.part_asset("10.9.0.1", SENSOR, "10.9.0.1", decision).await.unwrap();
    assert!(matches!(alone, Parted::Not(_)), "{alone:?}");
}

async fn two_are_joined_and_parted_again(database: Database) {
    let repository = database.open().await;
    for number in [1, 2] {
        let id = mac(number).to_string();
        let seen = camera(&id, vec![Identifier::Mac(mac(number))], i64::from(number), 20);
        repository.observe(SENSOR, seen).await.unwrap();
    }
    let (one, two) = (mac(1).to_string(), mac(2).to_string());
    let decision = decided(Deed::AssetsJoined, &one);
    let joined = repository.join_assets(&two, &one, decision.clone()).await.unwrap();
    let Joined::Done(asset) = joined else { panic!("{joined:?}") };
    assert_eq!(asset.id, one, "who was seen first keeps its name");
    assert_eq!(all(&repository).await.len(), 1);
    // It is remembered.
    let again = camera(&two, vec![Identifier::Mac(mac(2))], 2, 99);
    let settled = repository.observe(SENSOR, again).await.unwrap();
    assert_eq!((settled.asset.id.as_str(), settled.asset.last_seen), (one.as_str(), at(99)));
    let joined = repository.join_assets(&one, "nobody", decision.clone()).await.unwrap();
    assert_eq!(joined, Joined::Unknown("nobody".into()));
    // And taken back.
    let parted = repository.part_asset(&one, SENSOR, &two, decided(Deed::AssetParted, &one)).await.unwrap();
    assert!(matches!(&parted, Parted::Done(now, _) if now.id == two), "{parted:?}");
    assert_eq!(all(&repository).await.len(), 2);
    let joined = repository.join_assets(&one, &two, decision).await.unwrap();
    assert!(matches!(joined, Joined::Done(_)), "{joined:?}");
    assert_eq!(all(&repository).await.len(), 1);
}

fn certificate(asset: &str, name: &str, key: &str) -> NewCertificate {
    NewCertificate {
        issuer: "issuer".into(),
        serial: format!("{key}-serial"),
        asset: Some(asset.to_owned()),
        name: name.to_owned(),
        subject: format!("CN={name}"),
        profile: "device".into(),
        names: Vec::new(),
        key: key.to_owned(),
        fingerprint: format!("{key}-print"),
        begins: at(1),
        ends: at(1_000_000),
        body: vec![1],
    }
}

async fn an_enrolled_asset_keeps_its_id_and_how_it_stands(database: Database) {
    let repository = database.open().await;
    let issuer = IssuerRecord {
        id: "issuer".into(),
        authority: AuthorityId::local(),
        parent: None,
        name: "CN=City".into(),
        certificate: vec![1],
        key: IssuerKey::Away,
        bounds: "{}".into(),
        begins: at(0),
        ends: at(2_000_000),
        state: IssuerState::Root,
        number: 2,
        base: 1,
        changed: at(0),
    };
    let made = incidents::decided(Deed::IssuerChanged, at(1), &[("issuer", "issuer")]);
    repository.add_issuer(&issuer, None, None, made).await.unwrap();
    let enrol = async |new: NewCertificate| {
        let decided = decided(Deed::Enrolled, new.asset.as_deref().unwrap());
        repository.add_certificate(new, Admission::Program, decided).await.unwrap()
    };
    // One that was seen before, and one that was not.
    let seen = camera("00:40:8c:01:02:01", vec![Identifier::Mac(mac(1)), address("10.2.0.5")], 1, 20);
    repository.observe(SENSOR, seen.clone()).await.unwrap();
    let (old, new) = ("aa".repeat(32), "bb".repeat(32));
    assert_eq!(enrol(certificate("00:40:8c:01:02:01", "gate", &old)).await, Enrolled::Kept);
    assert_eq!(enrol(certificate("dev-2", "door", &new)).await, Enrolled::Kept);
    let of = async |id: &str| repository.asset(id).await.unwrap().unwrap();
    let gate = of("00:40:8c:01:02:01").await;
    assert_eq!(
        (gate.status, gate.label().as_str(), gate.kind.as_str()),
        (AssetStatus::Enrolled, "gate", "camera")
    );
    assert_eq!(sources(&repository, "00:40:8c:01:02:01").await, ["enrolment", "sensor"]);
    // Suspended, and then seen again.
    let held = decided(Deed::Suspended, "dev-2");
    repository.let_stand(store::Which::Asset("dev-2".into()), store::Standing::Held, held).await.unwrap();
    repository.heard("dev-2", vec![mac(2)], at(50)).await.unwrap();
    let first = camera("00:40:8c:01:02:02", vec![Identifier::Mac(mac(2)), address("10.2.0.6")], 1, 60);
    let settled = repository.observe(SENSOR, first).await.unwrap();
    assert_eq!((settled.asset.id.as_str(), settled.new), ("dev-2", false), "it says what hardware it has");
    assert_eq!(settled.asset.status, AssetStatus::Quarantined);
    assert_eq!(settled.asset.addresses, ["10.2.0.6".parse::<std::net::IpAddr>().unwrap()]);
    repository.observe(SENSOR, seen).await.unwrap();
    assert_eq!(of("00:40:8c:01:02:01").await.status, AssetStatus::Enrolled);
    // Two keys are never one device.
    let decision = decided(Deed::AssetsJoined, "dev-2");
    let joined = repository.join_assets("dev-2", "00:40:8c:01:02:01", decision).await.unwrap();
    assert!(matches!(joined, Joined::Not(_)), "{joined:?}");
    repository.heard("00:40:8c:01:02:01", vec![mac(2)], at(70)).await.unwrap();
    assert_eq!(all(&repository).await.len(), 2, "nor where one claims the other's hardware");
}

/// A device that is suspended says what it was known by before: that frees it of nothing.
async fn who_is_suspended_does_not_become_another(database: Database) {
    let repository = database.open().await;
    let client = Identifier::DhcpClient("01aabb".into());
    let made_up = |last| Mac([2, 0, 0x5e, 0, 0, last]);
    let old = camera("before", vec![Identifier::Mac(made_up(1)), client.clone()], 1, 5);
    repository.observe(SENSOR, old).await.unwrap();
    let now = camera("now", vec![Identifier::Mac(made_up(2)), address("10.2.0.9")], 10, 20);
    repository.observe(SENSOR, now).await.unwrap();
    let held = decided(Deed::Suspended, "now");
    repository.let_stand(store::Which::Asset("now".into()), store::Standing::Held, held).await.unwrap();
    let again = camera("now", vec![Identifier::Mac(made_up(2)), client, address("10.2.0.9")], 10, 30);
    let settled = repository.observe(SENSOR, again).await.unwrap();
    assert_eq!((settled.asset.id.as_str(), settled.asset.status), ("now", AssetStatus::Quarantined));
    assert_eq!(repository.suspended().await.unwrap().len(), 1);
    assert_eq!(repository.asset_once("before").await.unwrap().as_deref(), Some("now"));
}

async fn what_is_declared_comes_before_what_is_guessed(database: Database) {
    let repository = database.open().await;
    let (one, two) = (mac(1).to_string(), mac(2).to_string());
    for number in [1, 2] {
        let id = mac(number).to_string();
        let seen = camera(&id, vec![Identifier::Mac(mac(number)), address("10.2.0.5")], 1, 20);
        repository.observe(SENSOR, seen).await.unwrap();
    }
    let kinds = Arc::new(Kinds::shipped());
    let declare = async |ids: &[&String], columns: &[(Column, &str)]| {
        let columns = columns.iter().map(|(column, text)| (*column, (*text).to_owned())).collect();
        let ids = ids.iter().map(|id| (*id).clone()).collect();
        let decided = decided(Deed::AssetDeclared, "some");
        repository.declare(ids, columns, Arc::clone(&kinds), decided).await.unwrap()
    };
    let roads = [(Column::Owner, "Roads"), (Column::Maintenance, "sun 02:00-04:00")];
    let said = declare(&[&one, &two], &roads).await.unwrap();
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|asset| asset.declared.as_ref().unwrap().owner.as_deref() == Some("Roads")));
    assert!(said.iter().all(|asset| asset.kind.as_str() == "camera" && asset.confidence == 60));
    let said = declare(&[&one], &[(Column::Kind, "traffic-light-controller"), (Column::Name, "Crossing")])
        .await
        .unwrap();
    assert_eq!((said[0].label().as_str(), said[0].criticality), ("Crossing", Criticality::Protected));
    assert_eq!(said[0].declared.as_ref().unwrap().owner.as_deref(), Some("Roads"));
    // Taken back, piece by piece.
    let said = declare(&[&one], &[(Column::Kind, ""), (Column::Owner, "")]).await.unwrap();
    // What was protected stays so until somebody says otherwise.
    assert_eq!((said[0].kind.as_str(), said[0].criticality), ("camera", Criticality::Protected));
    let said = declare(&[&one], &[(Column::Criticality, "")]).await.unwrap();
    assert_eq!(said[0].criticality, Criticality::Ordinary);
    assert_eq!(said[0].declared.as_ref().unwrap().owner, None);
    // All or nothing.
    let unknown = declare(&[&two, &"nobody".to_owned()], &[(Column::Owner, "Parks")]).await;
    assert_eq!(unknown, Err(NotSaid::Unknown("nobody".into())));
    let unfit = declare(&[&two], &[(Column::Kind, "spaceship")]).await;
    assert!(
        matches!(&unfit, Err(NotSaid::Unfit(refused)) if refused.to_string().contains("spaceship")),
        "{unfit:?}"
    );
    let still = repository.asset(&two).await.unwrap().unwrap();
    assert_eq!(still.declared.unwrap().owner.as_deref(), Some("Roads"));
    let filter = AssetFilter { owner: Some("Roads".into()), ..AssetFilter::default() };
    assert_eq!(repository.assets(&filter, Paging::default()).await.unwrap().total, 1);
    let says: Vec<Saying> = repository.sayings(&one).await.unwrap();
    assert!(matches!(&says[0].says, Says::Listed(listed) if matches!(**listed, ListedAsset { .. })));
}

async fn what_is_listed_is_not_swept_away(database: Database) {
    let repository = database.open().await;
    list(&repository, "name,mac\nGate,00408c010203\n", 5).await;
    let seen = camera("00:40:8c:01:02:09", vec![Identifier::Mac(mac(9))], 1, 5);
    repository.observe(SENSOR, seen.clone()).await.unwrap();
    let days = 10;
    let retention = Retention {
        incident_days: days,
        asset_days: days,
        journal_days: days,
        counter_days: days,
        most_bytes: u64::MAX,
    };
    let swept = repository.sweep(&retention, at(100 * 86_400)).await.unwrap();
    assert_eq!(swept.assets, 1);
    let left = all(&repository).await;
    assert_eq!((left.len(), left[0].label().as_str()), (1, "Gate"));
    // What was swept is new when it comes again.
    assert!(repository.observe(SENSOR, seen).await.unwrap().new);
}
