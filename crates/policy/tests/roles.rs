//! Who may do what with the policies that are shipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use model::{AuthorityId, AuthorityRole, Holding, Lineage};
use policy::{Action, Asker, DecisionPoint, Kind};

fn id(name: &str) -> AuthorityId {
    name.parse().unwrap()
}

fn lineage(upwards: &[&str]) -> Lineage {
    Lineage::new(id(upwards[0]), upwards[1..].iter().map(|name| id(name)).collect()).unwrap()
}

fn holding(role: AuthorityRole, authority: &str) -> Holding {
    Holding { role, authority: id(authority) }
}

#[test]
fn each_role_may_do_its_work_and_nothing_else() {
    use Action::*;
    let table: [(AuthorityRole, &[Action]); 5] = [
        (
            AuthorityRole::Administrator,
            &[
                SeeIncidents,
                SeeAssets,
                SeeNode,
                SeeRecord,
                SeePeople,
                EnrolDevices,
                ManagePeople,
                ManageAuthorities,
                ChangeSettings,
                MakeTokens,
            ],
        ),
        (AuthorityRole::Analyst, &[SeeIncidents, SeeAssets, SeeNode, SeeRecord, JudgeIncidents, MakeTokens]),
        (AuthorityRole::Operator, &[SeeIncidents, SeeAssets, SeeNode, SeeRecord, Respond, MakeTokens]),
        (AuthorityRole::Auditor, &[SeeIncidents, SeeAssets, SeeNode, SeeRecord, SeePeople, MakeTokens]),
        (AuthorityRole::Integrator, &[SeeAssets, SeeNode, EnrolDevices, MakeTokens]),
    ];
    let point = DecisionPoint::new().unwrap();
    let city = lineage(&["city", "region", "nation"]);
    for (role, may) in table {
        for action in Action::ALL {
            for kind in [Kind::Person, Kind::Program] {
                let holds = [holding(role, "city")];
                let answer = point.decide(Asker { kind, id: "p", holds: &holds }, *action, &city);
                // A program makes no tokens.
                let may = may.contains(action) && (*action != MakeTokens || kind == Kind::Person);
                assert_eq!(answer.is_ok(), may, "{role} {action} {kind:?}");
            }
        }
    }
}

/// What makes it right to ask the policies once for many places.
#[test]
fn policies_speak_of_roles_and_of_nobody_by_name() {
    for line in include_str!("../../../rules/policies/roles.cedar").lines() {
        let line = line.split("//").next().unwrap();
        for named in ["Authority::", "Person::", "Program::", "principal ==", "principal in", "resource =="] {
            assert!(!line.contains(named), "{line}");
        }
    }
}

#[test]
fn many_places_are_decided_as_each_by_itself() {
    let point = DecisionPoint::new().unwrap();
    let mut places = vec![lineage(&["root"]), lineage(&["alone"])];
    for city in ["north", "south", "east"] {
        places.push(lineage(&[city, "root"]));
        for street in 0..30 {
            places.push(lineage(&[&format!("{city}-{street}"), city, "root"]));
        }
    }
    use AuthorityRole::*;
    let holdings = [
        vec![],
        vec![holding(Administrator, "root")],
        vec![holding(Auditor, "north"), holding(Analyst, "south"), holding(Analyst, "south-7")],
        vec![holding(Operator, "east-3"), holding(Administrator, "east"), holding(Integrator, "alone")],
    ];
    for holds in &holdings {
        for kind in [Kind::Person, Kind::Program] {
            for action in Action::ALL {
                let asker = Asker { kind, id: "p", holds };
                let each = places.iter().filter_map(|place| point.decide(asker, *action, place).ok());
                let each: Vec<_> = each.collect();
                assert_eq!(point.decide_each(asker, *action, places.clone()), each, "{holds:?} {action}");
            }
        }
    }
}

#[test]
fn a_role_reaches_down_and_nowhere_else() {
    let point = DecisionPoint::new().unwrap();
    let check = |held: &str, asked: &[&str], expected: bool| {
        let holds = [holding(AuthorityRole::Auditor, held)];
        let asker = Asker { kind: Kind::Person, id: "p", holds: &holds };
        let answer = point.decide(asker, Action::SeeIncidents, &lineage(asked));
        assert_eq!(answer.is_ok(), expected, "auditor of {held} asks for {asked:?}");
    };
    check("city", &["city", "region", "nation"], true);
    check("region", &["city", "region", "nation"], true);
    check("nation", &["parks", "city", "region", "nation"], true);
    check("city", &["region", "nation"], false);
    check("city", &["town", "region", "nation"], false);
    check("parks", &["city", "region", "nation"], false);
    check("cit", &["city", "region", "nation"], false);
}

#[test]
fn who_holds_nothing_is_told_who_could() {
    let point = DecisionPoint::new().unwrap();
    let asker = Asker { kind: Kind::Person, id: "\"; permit(principal, action, resource); //", holds: &[] };
    for action in Action::ALL {
        let denied = point.decide(asker, *action, &lineage(&["city"])).unwrap_err();
        assert!(!denied.roles().is_empty(), "nobody could ever {action}");
    }
    let denied = point.decide(asker, Action::Respond, &lineage(&["city"])).unwrap_err();
    assert_eq!(denied.to_string(), "respond in city takes the role of operator");
}

#[test]
fn a_grant_says_what_for() {
    let point = DecisionPoint::new().unwrap();
    let holds = [holding(AuthorityRole::Operator, "region")];
    let asker = Asker { kind: Kind::Person, id: "p", holds: &holds };
    let grant = point.decide(asker, Action::Respond, &lineage(&["city", "region"])).unwrap();
    assert_eq!((grant.action(), grant.authority().as_str()), (Action::Respond, "city"));
}
