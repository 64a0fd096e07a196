-- Work that is done later, beside everything else. A row stands here from the transaction that gives the reason for
-- it until the one that does the last of it, so that whatever fails or ends in between is gone on with.
--
-- Kinds are the program's: another one is no other table. `subject` is what the work is about, in the words of its kind; an empty `app_id` means every app. `progress` says how
-- far it has come, and starts anew when somebody asks for the same again; `asked_again` says that somebody did while it
-- was being worked on. The lowest `rank` goes first. `attempts` counts claims, `failures` those in a row that failed.
CREATE TABLE jobs (
    job_row_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,
    app_id      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    rank        INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    progress    INTEGER NOT NULL DEFAULT 0,
    asked_again INTEGER NOT NULL DEFAULT 0 CHECK (asked_again IN (0, 1)),
    attempts    INTEGER NOT NULL DEFAULT 0,
    failures    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT,
    lease_owner TEXT,
    lease_until INTEGER,
    CONSTRAINT job_identity UNIQUE (kind, app_id, subject),
    CONSTRAINT lease_has_end CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) STRICT;
CREATE INDEX jobs_due ON jobs (kind, rank, due_at, job_row_id) WHERE lease_owner IS NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE lease_owner IS NOT NULL;

INSERT INTO jobs (kind, app_id, subject, rank, due_at, progress)
SELECT 'requeue', app_id, iif(chat_id = '', '"ticket"', json_object('chat', chat_id)), 0, 0, requeued_through
FROM cleared_causes
ORDER BY cleared_cause_row_id;
DROP TABLE cleared_causes;
