//! A database at one moment, whichever it is.

use crate::dial::Outbound;
use crate::error::SourceError;
use crate::mysql::Mysql;
use crate::postgres::Postgres;
use tokio::io::AsyncWrite;
use zeroize::Zeroizing;

/// Where a database is, and who asks.
pub struct Database {
    /// How far the source may reach.
    pub out: Outbound,
    /// Host and port.
    pub host: (String, u16),
    /// The database.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// Its password.
    pub password: Zeroizing<String>,
    /// Without TLS.
    pub plain: bool,
}

/// A database at one moment: all that is read through it is of that moment.
pub enum Snapshot {
    /// PostgreSQL.
    Postgres(Postgres),
    /// MySQL or MariaDB.
    Mysql(Mysql),
}

impl Snapshot {
    /// Of a PostgreSQL database, and the moment as it says it.
    ///
    /// # Errors
    /// Nobody is there, or the server refuses.
    pub async fn postgres(at: &Database) -> Result<(Self, String), SourceError> {
        let (open, moment) = Postgres::open(at).await?;
        Ok((Self::Postgres(open), moment))
    }

    /// Of a MySQL or MariaDB database, and the moment as it says it.
    ///
    /// # Errors
    /// Nobody is there, or the server refuses.
    pub async fn mysql(at: &Database) -> Result<(Self, String), SourceError> {
        let (open, moment) = Mysql::open(at).await?;
        Ok((Self::Mysql(open), moment))
    }

    /// The query that gives a table: of `schema.table`, or of `table`.
    ///
    /// # Errors
    /// It is no such name.
    pub fn table(&self, name: &str) -> Result<String, SourceError> {
        Ok(format!("SELECT * FROM {}", identifiers(name, self.quote())?))
    }

    /// The greatest value of a column of a table, as text; none where there is none.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn greatest(
        &mut self,
        table: &str,
        column: &str,
    ) -> Result<Option<String>, SourceError> {
        let quote = self.quote();
        let (table, column) = (identifiers(table, quote)?, identifier(column, quote)?);
        match self {
            Self::Postgres(open) => {
                open.value(&format!("SELECT max({column})::text FROM {table}")).await
            }
            Self::Mysql(open) => open.value(&format!("SELECT MAX({column}) FROM {table}")).await,
        }
    }

    /// The query that gives the rows of a table after a value of a column, up to another. Those
    /// that have no value come the first time, and never again.
    ///
    /// # Errors
    /// A name is none.
    pub fn between(
        &self,
        table: &str,
        column: &str,
        after: Option<&str>,
        to: &str,
    ) -> Result<String, SourceError> {
        let quote = self.quote();
        let (table, column) = (identifiers(table, quote)?, identifier(column, quote)?);
        let to = self.literal(to);
        let rows = match after {
            Some(after) => format!("{column} > {} AND {column} <= {to}", self.literal(after)),
            None => format!("{column} IS NULL OR {column} <= {to}"),
        };
        Ok(format!("SELECT * FROM {table} WHERE {rows} ORDER BY {column}"))
    }

    /// Sends what a query gives, as CSV with a line of names: nothing is NULL, `""` is empty. How
    /// many bytes it was.
    ///
    /// # Errors
    /// It is no query that reads, it is longer than `most`, or the server breaks off.
    pub async fn send(
        &mut self,
        query: &str,
        to: &mut (impl AsyncWrite + Unpin),
        most: u64,
    ) -> Result<u64, SourceError> {
        match self {
            Self::Postgres(open) => open.send(query, to, most).await,
            Self::Mysql(open) => open.send(query, to, most).await,
        }
    }

    fn quote(&self) -> char {
        match self {
            Self::Postgres(_) => '"',
            Self::Mysql(_) => '`',
        }
    }

    /// A text as SQL has it.
    fn literal(&self, text: &str) -> String {
        match self {
            // Whatever the server thinks of backslashes.
            Self::Postgres(_) => {
                let clean = text.replace('\0', "");
                format!("E'{}'", clean.replace('\\', "\\\\").replace('\'', "''"))
            }
            // In hexadecimal digits there is nothing to be escaped.
            Self::Mysql(_) => format!("CONVERT(X'{}' USING utf8mb4)", hex::encode(text)),
        }
    }
}

/// A name in quotes; what is in it cannot end them.
fn identifier(name: &str, quote: char) -> Result<String, SourceError> {
    /// PostgreSQL's names have 63 bytes, MySQL's 64 letters.
    const NAME_MAX: usize = 256;
    if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
        return Err(SourceError::named(name, "is no name: write it as schema.table"));
    }
    let doubled = name.replace(quote, &format!("{quote}{quote}"));
    Ok(format!("{quote}{doubled}{quote}"))
}

/// Names with dots between, each in quotes.
fn identifiers(names: &str, quote: char) -> Result<String, SourceError> {
    let parts = names.split('.').map(|name| identifier(name, quote));
    Ok(parts.collect::<Result<Vec<_>, _>>()?.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(identifiers("public.a\"b", '"').unwrap(), "\"public\".\"a\"\"b\"");
        assert_eq!(identifiers("t`; DROP TABLE x; --", '`').unwrap(), "`t``; DROP TABLE x; --`");
        for name in ["", "a.", ".a", "a\0b", "a\nb", &"a".repeat(300)] {
            assert!(identifiers(name, '"').is_err(), "{name}");
        }
    }
}
