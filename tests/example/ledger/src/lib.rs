//! The books, in the `SQLite` that `libsqlite3-sys` builds with the `cc` crate: one
//! source of a quarter of a million lines, which keeps a compiler busy for a while.

use rusqlite::{Connection, Result};

/// What was sold.
pub struct Ledger {
    connection: Connection,
}

impl Ledger {
    /// An empty one, in memory.
    pub fn open() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection
            .execute_batch("CREATE TABLE sale (code TEXT NOT NULL, cents INTEGER NOT NULL)")?;
        Ok(Self { connection })
    }

    /// Writes a sale down.
    pub fn sell(&self, code: &str, cents: u32) -> Result<()> {
        self.connection
            .execute("INSERT INTO sale VALUES (?1, ?2)", (code, cents))?;
        Ok(())
    }

    /// The sum of all sales, in cents.
    pub fn total(&self) -> Result<i64> {
        self.connection
            .query_row("SELECT coalesce(sum(cents), 0) FROM sale", (), |row| {
                row.get(0)
            })
    }
}
