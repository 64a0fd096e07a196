-- Store apps get no token without the ticket that the platform pushes to them about once an hour,
-- so the newest one has to survive a restart.
CREATE TABLE app_tickets (
    app_id  TEXT PRIMARY KEY,
    ticket  TEXT NOT NULL,
    sent_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Tries that were under way when a ticket came. If one of them ends for lack of a ticket, it may
-- just not have seen it, and is due again at once instead of waiting for the next ticket.
CREATE TABLE overtaken_tries (
    resource_row_id INTEGER PRIMARY KEY REFERENCES resources (resource_row_id) ON DELETE CASCADE
) STRICT;
