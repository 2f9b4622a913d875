//! Questions and answers.

use crate::{Action, PolicyError};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use model::{AuthorityId, AuthorityRole, Holding, Lineage};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

const SCHEMA: (&str, &str) =
    ("bastide.cedarschema", include_str!("../../../rules/policies/bastide.cedarschema"));
const ROLES: (&str, &str) = ("roles.cedar", include_str!("../../../rules/policies/roles.cedar"));

/// The policies that are shipped, and the schema that they are checked against: the name of each file and what is in it.
pub const SHIPPED: [(&str, &str); 2] = [SCHEMA, ROLES];

/// The most roles of one asker that are looked at; nobody is given more.
const MOST_HOLDINGS: usize = 1_024;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its id, unique among its kind.
    pub id: &'a str,
    /// The roles it holds.
    pub holds: &'a [Holding],
}

/// What somebody who asks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who is signed in.
    Person,
    /// A program with a token.
    Program,
}

/// The right to do one thing in one authority. Only [`DecisionPoint::decide`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    action: Action,
    authority: AuthorityId,
}

impl Grant {
    /// What may be done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Where.
    #[must_use]
    pub const fn authority(&self) -> &AuthorityId {
        &self.authority
    }
}

/// No, and who could.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    action: Action,
    authority: AuthorityId,
    roles: Vec<AuthorityRole>,
}

impl Denied {
    /// The roles that may do it in that authority.
    #[must_use]
    pub fn roles(&self) -> &[AuthorityRole] {
        &self.roles
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<&str> = self.roles.iter().map(|role| role.as_str()).collect();
        write!(f, "{} in {} takes the role of {}", self.action, self.authority, roles.join(" or "))
    }
}

/// The one place where it is decided who may do what.
pub struct DecisionPoint {
    authorizer: Authorizer,
    policies: PolicySet,
    schema: Schema,
    types: Types,
}

struct Types {
    action: EntityTypeName,
    authority: EntityTypeName,
    person: EntityTypeName,
    program: EntityTypeName,
}

impl DecisionPoint {
    /// With the policies that are shipped.
    ///
    /// # Errors
    /// [`PolicyError`] where they cannot be used.
    pub fn new() -> Result<Self, PolicyError> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA.1)
            .map_err(|error| PolicyError::Schema { file: SCHEMA.0.into(), reason: chain(&error) })?;
        let policies: PolicySet = ROLES
            .1
            .parse()
            .map_err(|error| PolicyError::Policies { file: ROLES.0.into(), reason: chain(&error) })?;
        let checked = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        if !checked.validation_passed() {
            let faults: Vec<String> = checked.validation_errors().map(ToString::to_string).collect();
            return Err(PolicyError::Invalid { file: ROLES.0.into(), reason: faults.join("\n") });
        }
        let named = |name: &str| {
            name.parse::<EntityTypeName>()
                .map_err(|error| PolicyError::Schema { file: SCHEMA.0.into(), reason: chain(&error) })
        };
        let types = Types {
            action: named("Action")?,
            authority: named("Authority")?,
            person: named("Person")?,
            program: named("Program")?,
        };
        Ok(Self { authorizer: Authorizer::new(), policies, schema, types })
    }

    /// Whether `asker` may do `action` in the authority at the foot of `place`.
    ///
    /// # Errors
    /// [`Denied`] where not, and where it cannot be decided.
    pub fn decide(&self, asker: Asker<'_>, action: Action, place: &Lineage) -> Result<Grant, Denied> {
        let authority = place.authority().clone();
        if self.permits(asker, action, place) {
            return Ok(Grant { action, authority });
        }
        let roles = AuthorityRole::ALL
            .into_iter()
            .filter(|role| {
                let holds = [Holding { role: *role, authority: authority.clone() }];
                self.permits(Asker { kind: Kind::Person, id: "somebody", holds: &holds }, action, place)
            })
            .collect();
        Err(Denied { action, authority, roles })
    }

    /// Those of many places in which `asker` may do `action`. Where the same roles reach down from as far above, the answer is
    /// the same, and the policies are asked once: what they speak of are roles, and no authority by its id.
    #[must_use]
    pub fn decide_each(
        &self,
        asker: Asker<'_>,
        action: Action,
        places: impl IntoIterator<Item = Lineage>,
    ) -> Vec<Grant> {
        let mut held: HashMap<&AuthorityId, BTreeSet<AuthorityRole>> = HashMap::new();
        for holding in asker.holds {
            held.entry(&holding.authority).or_default().insert(holding.role);
        }
        let mut decided: HashMap<Vec<(usize, &BTreeSet<AuthorityRole>)>, bool> = HashMap::new();
        let mut granted = Vec::new();
        for place in places {
            let above = place.upwards().enumerate();
            let reaching = above.filter_map(|(steps, id)| Some((steps, held.get(id)?))).collect();
            if *decided.entry(reaching).or_insert_with(|| self.permits(asker, action, &place)) {
                granted.push(Grant { action, authority: place.authority().clone() });
            }
        }
        granted
    }

    fn permits(&self, asker: Asker<'_>, action: Action, place: &Lineage) -> bool {
        if asker.holds.len() > MOST_HOLDINGS {
            return false;
        }
        let principal = match asker.kind {
            Kind::Person => self.uid(&self.types.person, asker.id),
            Kind::Program => self.uid(&self.types.program, asker.id),
        };
        let resource = self.uid(&self.types.authority, place.authority().as_str());
        let action = self.uid(&self.types.action, action.as_str());
        let Ok(request) =
            Request::new(principal.clone(), action, resource, Context::empty(), Some(&self.schema))
        else {
            return false;
        };
        let Some(entities) = self.entities(asker, principal, place) else { return false };
        let response = self.authorizer.is_authorized(&request, &self.policies, &entities);
        // A policy that could not be evaluated might have been one that forbids.
        response.decision() == Decision::Allow && response.diagnostics().errors().next().is_none()
    }

    /// The asker with its roles, and the authorities from the one asked for up to the root.
    fn entities(&self, asker: Asker<'_>, principal: EntityUid, place: &Lineage) -> Option<Entities> {
        let authority = |id: &AuthorityId| self.uid(&self.types.authority, id.as_str());
        let roles = AuthorityRole::ALL.map(|role| {
            let held = asker.holds.iter().filter(|holding| holding.role == role);
            let held =
                held.map(|holding| RestrictedExpression::new_entity_uid(authority(&holding.authority)));
            (role.as_str().to_owned(), RestrictedExpression::new_set(held))
        });
        let holds = HashMap::from([("holds".to_owned(), RestrictedExpression::new_record(roles).ok()?)]);
        let mut entities = vec![Entity::new(principal, holds, HashSet::new()).ok()?];
        let mut upwards = place.upwards().peekable();
        while let Some(id) = upwards.next() {
            let parents = upwards.peek().map(|parent| authority(parent)).into_iter().collect();
            entities.push(Entity::new_no_attrs(authority(id), parents));
        }
        Entities::from_entities(entities, Some(&self.schema)).ok()
    }

    fn uid(&self, kind: &EntityTypeName, id: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
