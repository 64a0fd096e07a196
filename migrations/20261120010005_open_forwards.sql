-- Forwards are opened beside downloads, and messages that are quoted but were never seen are asked for.

-- Opening a forward has a queue of its own in the same table: neither waits behind the other.
DROP INDEX resources_due;
DROP INDEX resources_waiting;
CREATE INDEX resources_due ON resources (app_id, (role = 'forward'), listed_at)
    WHERE state = 'pending' AND next_attempt_at IS NULL;
CREATE INDEX resources_waiting ON resources (app_id, (role = 'forward'), next_attempt_at)
    WHERE state = 'pending' AND next_attempt_at IS NOT NULL;

-- What is asked from the same forward under the same type and key is fetched once.
CREATE INDEX resources_by_container ON resources (app_id, download_message_id, type, key)
    WHERE download_message_id IS NOT NULL;

-- Who recalls a forward recalls what we found inside it; what we were told by itself stays.
CREATE TRIGGER recalls_marked_inside AFTER INSERT ON recalls BEGIN
    UPDATE messages SET
        recalled_at = NEW.recalled_at,
        recalled_by = NEW.recalled_by,
        hidden = (SELECT hide FROM recall_policy)
    WHERE recalled_at IS NULL AND event_row_id IS NULL AND message_row_id IN (
        SELECT message_row_id FROM resources WHERE app_id = NEW.app_id AND download_message_id = NEW.message_id
    );
END;

-- Messages that somebody answered and nobody told us of: each is asked for, once it has answered or
-- refused for good it is not asked for again. `quoted_by` is the message that made it known.
CREATE TABLE quoted_messages (
    quoted_row_id        INTEGER PRIMARY KEY,
    app_id               TEXT NOT NULL,
    message_id           TEXT NOT NULL,
    quoted_by            TEXT NOT NULL,
    state                TEXT NOT NULL CHECK (state IN ('pending', 'found', 'failed')),
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT,
    attempts             INTEGER NOT NULL DEFAULT 0,
    next_attempt_at      INTEGER NOT NULL,
    CONSTRAINT quoted_message_identity UNIQUE (app_id, message_id),
    CONSTRAINT failed_means_reason CHECK (state <> 'failed' OR reason_code IS NOT NULL)
) STRICT;
CREATE INDEX quoted_messages_due ON quoted_messages (app_id, next_attempt_at) WHERE state = 'pending';

-- For operators: quoted messages that could not be had, and why.
CREATE VIEW v_quoted_failed AS
SELECT
    q.app_id,
    q.message_id,
    q.quoted_by,
    q.state,
    q.reason_code,
    reasons.cause_en AS reason,
    reasons.remedy_zh,
    reasons.remedy_en,
    q.upstream_http_status,
    q.upstream_code,
    q.upstream_msg,
    q.upstream_log_id,
    q.attempts,
    q.next_attempt_at
FROM quoted_messages AS q
LEFT JOIN reasons ON reasons.reason_code = q.reason_code
WHERE q.reason_code IS NOT NULL AND q.state <> 'found';
