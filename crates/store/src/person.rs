//! People and their roles.
//!
//! Guarantees: a login is one person's; whoever is suspended has no session and comes in by nothing; the last active
//! administrator of the root is not lost; a link or a session of before does not rise with its person; each change is a leaf in the ledger of the
//! authority it is about.

use crate::{
    Decided, NewLink, Page, Paging, Repository, StoreError, Transaction,
    access::keep_link,
    authority,
    database::{Row, query},
    repository::{contains_pattern, count, seen, unreadable, whose},
};
use model::{AuthorityId, AuthorityRole, Holding, Lineage, LoginName, PersonId, PersonState, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Somebody who may sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Where they belong.
    pub authority: AuthorityId,
    /// Who.
    pub id: PersonId,
    /// What they sign in as.
    pub login: LoginName,
    /// How others call them.
    pub name: String,
    /// Whether they may sign in.
    pub state: PersonState,
    /// Since when.
    pub made: Timestamp,
}

/// The most people of a database.
pub const MOST_PEOPLE: u64 = 20_000;
/// As many find room in every authority, however far down.
const FEW_PEOPLE: u64 = 100;

/// The most roles that somebody holds.
pub const MOST_HOLDINGS: usize = 200;

/// What taking a role came to, or changing a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is taken.
    Done,
    /// It was not held, or nobody has that id.
    NotHeld,
    /// It is the last administrator of the root: somebody must be left who can give it back.
    Last,
}

/// Columns of a person, in the order that [`record`] reads.
macro_rules! columns {
    () => {
        "person.authority_id, person.id, person.login, person.name, person.state, person.made"
    };
}
pub(crate) use columns;

/// $1 the authorities, $2 text. Guests are found by their name alone: what they sign in as is for their own authority.
macro_rules! matching {
    () => {
        concat!(
            " FROM person WHERE (",
            seen!(),
            " AND ($2 IS NULL OR search LIKE $2 ESCAPE '\\' OR login LIKE $2 ESCAPE '\\') \
             OR id IN (SELECT person FROM holding WHERE ",
            seen!(),
            ") AND ($2 IS NULL OR search LIKE $2 ESCAPE '\\'))"
        )
    };
}

impl Repository {
    /// Adds a person to this authority with roles in it. False where the login is taken, perhaps where the asker cannot see it.
    ///
    /// # Errors
    /// [`StoreError`]; then nobody was added.
    pub async fn add_person(
        &self,
        person: &Person,
        roles: &[AuthorityRole],
        decided: Decided,
    ) -> Result<bool, StoreError> {
        self.add(person, roles, None, decided).await
    }

    /// Adds somebody with the link that they sign in with for the first time: neither is there without the other. False where
    /// the id or the login is taken.
    ///
    /// # Errors
    /// [`StoreError`]; then neither is there.
    pub async fn invite_person(
        &self,
        person: &Person,
        roles: &[AuthorityRole],
        link: NewLink,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        self.add(person, roles, Some(link), decided).await
    }

    async fn add(
        &self,
        person: &Person,
        roles: &[AuthorityRole],
        link: Option<NewLink>,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, person, roles) = (self.authority.clone(), person.clone(), roles.to_vec());
        let decided = decided.naming(&roles)?;
        self.write(move |transaction| {
            Box::pin(async move {
                make_room(transaction, &authority).await?;
                let added = query(
                    "INSERT INTO person (authority_id, id, login, name, state, made, search) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                )
                .bind(authority.as_str())
                .bind(person.id.as_str())
                .bind(person.login.as_str())
                .bind(person.name.as_str())
                .bind(person.state.as_str())
                .bind(person.made.micros())
                .bind(folded(&person.name))
                .execute(&mut *transaction)
                .await?;
                if added == 0 {
                    return Ok(false);
                }
                for role in roles {
                    hold(transaction, &authority, &person.id, role, decided.at).await?;
                }
                if let Some(link) = &link {
                    keep_link(transaction, &authority, &person.id, link).await?;
                }
                transaction.decide(&authority, &decided).await?;
                Ok(true)
            })
        })
        .await
    }

    /// The people of the authorities that are seen, and the guests who hold a role in one of them, by name; only with `text` in
    /// name or login (of a guest in the name) where it is set.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn people(&self, text: Option<&str>, paging: Paging) -> Result<Page<Person>, StoreError> {
        let pattern = text.map(contains_pattern);
        let total = query(concat!("SELECT COUNT(*)", matching!()))
            .bind(self.sees())
            .bind(&pattern)
            .fetch_one(self.readers())
            .await?;
        let rows =
            query(concat!("SELECT ", columns!(), matching!(), " ORDER BY search, id LIMIT $3 OFFSET $4"))
                .bind(self.sees())
                .bind(&pattern)
                .bind(paging.limit())
                .bind(paging.offset())
                .fetch_all(self.readers())
                .await?;
        let people = rows.iter().map(|row| record(row, 0)).collect::<Result<_, _>>()?;
        Ok(paging.page(people, count(&total)?))
    }

    /// Somebody, in whatever authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn person(&self, id: &PersonId) -> Result<Option<Person>, StoreError> {
        let row = query(concat!("SELECT ", columns!(), " FROM person WHERE id = $1"))
            .bind(id.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| record(&row, 0)).transpose()
    }

    /// Who signs in with a login, in whatever authority.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn person_by_login(&self, login: &LoginName) -> Result<Option<Person>, StoreError> {
        let row = query(concat!("SELECT ", columns!(), " FROM person WHERE login = $1"))
            .bind(login.as_str())
            .fetch_optional(self.readers())
            .await?;
        row.map(|row| record(&row, 0)).transpose()
    }

    /// Gives somebody of this authority another name, or lets them in no more, or again; what is unset stays. Whoever is
    /// suspended is signed out.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing changed.
    pub async fn change_person(
        &self,
        id: &PersonId,
        name: Option<&str>,
        state: Option<PersonState>,
        decided: Decided,
    ) -> Result<Taken, StoreError> {
        let (authority, id, name) = (self.authority.clone(), id.clone(), name.map(str::to_owned));
        self.write(move |transaction| {
            Box::pin(async move {
                let suspends = state == Some(PersonState::Suspended);
                if suspends && is_last_administrator(transaction, &id, None).await? {
                    return Ok(Taken::Last);
                }
                let changed = query(
                    "UPDATE person SET name = COALESCE($3, name), state = COALESCE($4, state), \
                     search = COALESCE($5, search) WHERE authority_id = $1 AND id = $2",
                )
                .bind(authority.as_str())
                .bind(id.as_str())
                .bind(&name)
                .bind(state.map(PersonState::as_str))
                .bind(name.as_deref().map(folded))
                .execute(&mut *transaction)
                .await?;
                if changed == 0 {
                    return Ok(Taken::NotHeld);
                }
                if suspends {
                    shut_out(transaction, &id).await?;
                }
                transaction.decide(&authority, &decided).await?;
                Ok(Taken::Done)
            })
        })
        .await
    }

    /// Gives somebody of any authority a role in this one. False where they hold it, or hold too many.
    ///
    /// # Errors
    /// [`StoreError`]; then they do not.
    pub async fn give_role(
        &self,
        person: &PersonId,
        role: AuthorityRole,
        decided: Decided,
    ) -> Result<bool, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        let decided = decided.naming(&[role])?;
        self.write(move |transaction| {
            Box::pin(async move {
                let held = query("SELECT COUNT(*) FROM holding WHERE person = $1")
                    .bind(person.as_str())
                    .fetch_one(&mut *transaction)
                    .await?;
                let full = count(&held)? >= MOST_HOLDINGS as i64;
                if full || !hold(transaction, &authority, &person, role, decided.at).await? {
                    return Ok(false);
                }
                let home = query("SELECT authority_id FROM person WHERE id = $1")
                    .bind(person.as_str())
                    .fetch_one(&mut *transaction)
                    .await?;
                // Whoever manages people at home could have kept a link or a session for this day.
                if !stands_below(transaction, &authority, &home.try_get::<String>(0)?).await? {
                    shut_out(transaction, &person).await?;
                }
                transaction.decide(&authority, &decided).await?;
                Ok(true)
            })
        })
        .await
    }

    /// Takes a role in this authority from somebody.
    ///
    /// # Errors
    /// [`StoreError`]; then they hold it.
    pub async fn take_role(
        &self,
        person: &PersonId,
        role: AuthorityRole,
        decided: Decided,
    ) -> Result<Taken, StoreError> {
        let (authority, person) = (self.authority.clone(), person.clone());
        let decided = decided.naming(&[role])?;
        self.write(move |transaction| {
            Box::pin(async move {
                let administers = role == AuthorityRole::Administrator;
                if administers && is_last_administrator(transaction, &person, Some(&authority)).await? {
                    return Ok(Taken::Last);
                }
                let gone = query("DELETE FROM holding WHERE authority_id = $1 AND person = $2 AND role = $3")
                    .bind(authority.as_str())
                    .bind(person.as_str())
                    .bind(role.as_str())
                    .execute(&mut *transaction)
                    .await?;
                if gone == 0 {
                    return Ok(Taken::NotHeld);
                }
                transaction.decide(&authority, &decided).await?;
                Ok(Taken::Done)
            })
        })
        .await
    }

    /// What those among these people sign in as who were not erased.
    ///
    /// # Errors
    /// [`StoreError`] where they cannot be read.
    pub async fn logins(
        &self,
        people: &BTreeSet<PersonId>,
    ) -> Result<BTreeMap<PersonId, LoginName>, StoreError> {
        let ids: Vec<String> = people.iter().map(|id| format!("\"{id}\"")).collect();
        let rows =
            query("SELECT id, login FROM person WHERE id IN (SELECT value FROM json_each(CAST($1 AS TEXT)))")
                .bind(format!("[{}]", ids.join(",")))
                .fetch_all(self.readers())
                .await?;
        let read = |row: &Row| {
            let id: String = row.try_get(0)?;
            let wrong = |reason| unreadable("person", &id, reason);
            Ok((id.parse().map_err(wrong)?, row.try_get::<String>(1)?.parse().map_err(wrong)?))
        };
        rows.iter().map(read).collect()
    }

    /// Fills in what a migration has no words for.
    pub(crate) async fn fold_names(&self) -> Result<(), StoreError> {
        let rows =
            query("SELECT id, name FROM person WHERE search = '' LIMIT 1").fetch_all(self.readers()).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let fold = self.write(|transaction| {
            Box::pin(async move {
                let rows = query("SELECT id, name FROM person WHERE search = ''")
                    .fetch_all(&mut *transaction)
                    .await?;
                for row in rows {
                    query("UPDATE person SET search = $2 WHERE id = $1")
                        .bind(row.try_get::<String>(0)?)
                        .bind(folded(&row.try_get::<String>(1)?))
                        .execute(&mut *transaction)
                        .await?;
                }
                Ok(())
            })
        });
        fold.await
    }

    /// An administrator of this very authority, the first one; unset where it has none.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub async fn administrator(&self) -> Result<Option<Person>, StoreError> {
        let row = query(concat!(
            "SELECT ",
            columns!(),
            " FROM person JOIN holding ON holding.person = person.id \
             WHERE holding.authority_id = $1 AND holding.role = 'administrator' AND person.state = 'active' \
             ORDER BY holding.since, person.id LIMIT 1"
        ))
        .bind(self.whose())
        .fetch_optional(self.readers())
        .await?;
        row.map(|row| record(&row, 0)).transpose()
    }
}

/// Whether nobody else who may sign in is an administrator of a root that this person is an administrator of: nobody could
/// give that role back. Only of `place` where it is set.
pub(crate) async fn is_last_administrator(
    transaction: &mut Transaction,
    person: &PersonId,
    place: Option<&AuthorityId>,
) -> Result<bool, StoreError> {
    let row = query(
        "SELECT COUNT(*) FROM holding JOIN authority ON authority.authority_id = holding.authority_id \
         WHERE holding.person = $1 AND holding.role = 'administrator' AND authority.parent IS NULL \
         AND ($2 IS NULL OR holding.authority_id = $2) AND NOT EXISTS (SELECT 1 FROM holding AS other \
         JOIN person ON person.id = other.person WHERE other.authority_id = holding.authority_id \
         AND other.role = 'administrator' AND other.person <> $1 AND person.state = 'active')",
    )
    .bind(person.as_str())
    .bind(place.map(AuthorityId::as_str))
    .fetch_one(transaction)
    .await?;
    Ok(count(&row)? > 0)
}

/// A name in small letters, as it is searched.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Refuses one more person where an authority above has as many below it as it may.
async fn make_room(transaction: &mut Transaction, authority: &AuthorityId) -> Result<(), StoreError> {
    let rows = query("SELECT authority_id, COUNT(*) FROM person GROUP BY authority_id")
        .fetch_all(&mut *transaction)
        .await?;
    let tree = authority::all(transaction).await?;
    let mut counted = Vec::with_capacity(rows.len());
    for row in &rows {
        let lineage = tree.lineage(&whose("person", "of an authority", row, 0)?);
        counted.push((lineage, row.try_get::<i64>(1)?.unsigned_abs()));
    }
    for (top, most) in tree.shares(authority, MOST_PEOPLE, FEW_PEOPLE) {
        let below = counted.iter().filter(|(lineage, _)| lineage.upwards().any(|id| *id == top));
        if below.map(|(_, people)| people).sum::<u64>() >= most {
            return Err(StoreError::Full { what: "people", most });
        }
    }
    Ok(())
}

/// Somebody who may sign in.
pub(crate) async fn active(transaction: &mut Transaction, id: &str) -> Result<Option<Person>, StoreError> {
    let row = query(concat!("SELECT ", columns!(), " FROM person WHERE id = $1 AND state = 'active'"))
        .bind(id)
        .fetch_optional(transaction)
        .await?;
    row.map(|row| record(&row, 0)).transpose()
}

/// Ends the sessions of somebody, and the links that they could begin one with.
pub(crate) async fn shut_out(transaction: &mut Transaction, person: &PersonId) -> Result<(), StoreError> {
    for sql in ["DELETE FROM session WHERE person = $1", "DELETE FROM sign_in_link WHERE person = $1"] {
        query(sql).bind(person.as_str()).execute(&mut *transaction).await?;
    }
    Ok(())
}

/// Whether an authority is `above` or stands below it.
pub(crate) async fn stands_below(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    above: &str,
) -> Result<bool, StoreError> {
    let mut at = Some(authority.to_string());
    for _ in 0..=Lineage::MOST {
        let Some(id) = at else { return Ok(false) };
        if id == above {
            return Ok(true);
        }
        let row = query("SELECT parent FROM authority WHERE authority_id = $1")
            .bind(&id)
            .fetch_optional(&mut *transaction)
            .await?;
        at = row.map(|row| row.try_get::<Option<String>>(0)).transpose()?.flatten();
    }
    Ok(false)
}

/// False where it was held before.
async fn hold(
    transaction: &mut Transaction,
    authority: &AuthorityId,
    person: &PersonId,
    role: AuthorityRole,
    since: Timestamp,
) -> Result<bool, StoreError> {
    // Somebody may have been erased meanwhile.
    let held = query(
        "INSERT INTO holding (authority_id, person, role, since) SELECT $1, id, $3, $4 FROM person WHERE id = $2 \
         ON CONFLICT DO NOTHING",
    )
    .bind(authority.as_str())
    .bind(person.as_str())
    .bind(role.as_str())
    .bind(since.micros())
    .execute(transaction)
    .await?;
    Ok(held > 0)
}

/// A person whose columns begin at `from`.
pub(crate) fn record(row: &Row, from: usize) -> Result<Person, StoreError> {
    let id: String = row.try_get(from + 1)?;
    let wrong = |reason| unreadable("person", &id, reason);
    Ok(Person {
        authority: row.try_get::<String>(from)?.parse().map_err(wrong)?,
        login: row.try_get::<String>(from + 2)?.parse().map_err(wrong)?,
        name: row.try_get(from + 3)?,
        state: row.try_get::<String>(from + 4)?.parse().map_err(wrong)?,
        made: Timestamp::from_micros(row.try_get(from + 5)?),
        id: id.parse().map_err(wrong)?,
    })
}

pub(crate) fn holding(person: &str, row: &Row) -> Result<Holding, StoreError> {
    let wrong = |reason| unreadable("holding", person, reason);
    Ok(Holding {
        authority: row.try_get::<String>(0)?.parse().map_err(wrong)?,
        role: row.try_get::<String>(1)?.parse().map_err(wrong)?,
    })
}
