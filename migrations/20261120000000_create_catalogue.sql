-- The catalogue: what was delivered, what it said, and where every resource stands.
--
-- Times are unix milliseconds and end in _at. "None" inside an identity is the empty string,
-- because SQLite takes NULLs for distinct. Tables are STRICT; product rules are named constraints.

-- The inbox. Rows are only ever appended, so that an answer to the platform costs one insert at
-- the end of one tree; what became of a delivery stands in event_outcomes.
CREATE TABLE events (
    event_row_id INTEGER PRIMARY KEY,
    app_id       TEXT NOT NULL,
    event_id     TEXT,
    event_type   TEXT,
    message_id   TEXT,
    received_at  INTEGER NOT NULL,
    payload      TEXT NOT NULL
) STRICT;

-- Expansion runs in order of arrival: everything up to this row has been expanded once.
CREATE TABLE inbox_cursor (
    only_row         INTEGER PRIMARY KEY CHECK (only_row = 1),
    expanded_through INTEGER NOT NULL
) STRICT;
INSERT INTO inbox_cursor (only_row, expanded_through) VALUES (1, 0);

-- What became of a delivery, where that is not the usual thing ('expanded' has no row here).
-- 'pending' asks for the delivery to be expanded again.
CREATE TABLE event_outcomes (
    event_row_id INTEGER PRIMARY KEY REFERENCES events (event_row_id),
    result       TEXT NOT NULL CHECK (result IN ('pending', 'duplicate', 'ignored', 'unparsed')),
    error        TEXT
) STRICT;
CREATE INDEX event_outcomes_by_result ON event_outcomes (result, event_row_id);

CREATE TABLE chats (
    chat_row_id     INTEGER PRIMARY KEY,
    app_id          TEXT NOT NULL,
    chat_id         TEXT NOT NULL,
    name            TEXT,
    chat_type       TEXT,
    bot_in_chat     INTEGER CHECK (bot_in_chat IN (0, 1)),
    messages        INTEGER NOT NULL DEFAULT 0,
    last_message_at INTEGER,
    CONSTRAINT chat_identity UNIQUE (app_id, chat_id)
) STRICT;

CREATE TABLE senders (
    sender_row_id INTEGER PRIMARY KEY,
    app_id        TEXT NOT NULL,
    open_id       TEXT NOT NULL,
    name          TEXT,
    CONSTRAINT sender_identity UNIQUE (app_id, open_id)
) STRICT;

CREATE TABLE messages (
    message_row_id INTEGER PRIMARY KEY,
    app_id         TEXT NOT NULL,
    message_id     TEXT NOT NULL,
    tenant_key     TEXT,
    chat_id        TEXT NOT NULL,
    chat_type      TEXT,
    thread_id      TEXT,
    root_id        TEXT,
    parent_id      TEXT,
    sender_open_id TEXT,
    sender_type    TEXT CHECK (sender_type IN ('user', 'bot')),
    message_type   TEXT NOT NULL,
    text           TEXT,
    problem        TEXT CHECK (problem IN ('content_unreadable')),
    event_row_id   INTEGER REFERENCES events (event_row_id),
    sent_at        INTEGER,
    seen_at        INTEGER NOT NULL,
    recalled_at    INTEGER,
    recalled_by    TEXT,
    hidden         INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1)),
    CONSTRAINT message_identity UNIQUE (app_id, message_id)
) STRICT;
CREATE INDEX messages_by_chat ON messages (app_id, chat_id, sent_at);

-- A resource's row is its job: there is no second queue that could disagree with the catalogue.
-- `owner` is the owning message or ticket. `listed_at` is the time it is listed under: when its
-- message was sent, else when it was first seen. `failures` counts failures in a row, `failures_alike`
-- those of them at the end that had the same reason. Ids are public and some rows go: none is given again.
CREATE TABLE resources (
    resource_row_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    app_id               TEXT NOT NULL,
    tenant_key           TEXT,
    source               TEXT NOT NULL
        CHECK (source IN ('message', 'image', 'file', 'baike', 'lingo', 'ticket_image')),
    owner                TEXT NOT NULL,
    type                 TEXT NOT NULL CHECK (type IN ('image', 'file', '')),
    key                  TEXT NOT NULL,
    role                 TEXT NOT NULL
        CHECK (role IN ('image', 'file', 'audio', 'video', 'cover', 'sticker', 'folder', 'card_image', 'forward')),
    message_row_id       INTEGER REFERENCES messages (message_row_id),
    download_message_id  TEXT,
    chat_id              TEXT NOT NULL DEFAULT '',
    file_name            TEXT,
    mime                 TEXT,
    size_bytes           INTEGER,
    sha256               TEXT CHECK (length(sha256) = 64),
    state                TEXT NOT NULL
        CHECK (state IN ('pending', 'running', 'stored', 'blocked', 'gone', 'impossible')),
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT,
    attempts             INTEGER NOT NULL DEFAULT 0,
    failures             INTEGER NOT NULL DEFAULT 0,
    failures_alike       INTEGER NOT NULL DEFAULT 0,
    rate_waits           INTEGER NOT NULL DEFAULT 0,
    failing_since        INTEGER,
    next_attempt_at      INTEGER,
    lease_owner          TEXT,
    lease_until          INTEGER,
    listed_at            INTEGER NOT NULL,
    seen_at              INTEGER NOT NULL,
    stored_at            INTEGER,
    CONSTRAINT resource_identity UNIQUE (app_id, source, owner, type, key),
    CONSTRAINT stored_means_bytes CHECK (
        state <> 'stored'
        OR (sha256 IS NOT NULL AND size_bytes IS NOT NULL AND stored_at IS NOT NULL AND reason_code IS NULL)
    ),
    CONSTRAINT running_means_lease CHECK ((state = 'running') = (lease_owner IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT ended_means_reason CHECK (state NOT IN ('blocked', 'gone', 'impossible') OR reason_code IS NOT NULL)
) STRICT;

-- The queue: what is due at once (newest first), what waits for its next attempt, what runs.
CREATE INDEX resources_due ON resources (app_id, listed_at) WHERE state = 'pending' AND next_attempt_at IS NULL;
CREATE INDEX resources_waiting ON resources (app_id, next_attempt_at)
    WHERE state = 'pending' AND next_attempt_at IS NOT NULL;
CREATE INDEX resources_running ON resources (lease_until) WHERE state = 'running';
CREATE INDEX resources_unfinished ON resources (resource_row_id) WHERE state IN ('pending', 'running');
-- Listings and look-ups.
CREATE INDEX resources_listed ON resources (listed_at, resource_row_id);
CREATE INDEX resources_by_state ON resources (state, listed_at, resource_row_id) WHERE state <> 'stored';
CREATE INDEX resources_by_chat ON resources (chat_id, listed_at, resource_row_id);
CREATE INDEX resources_by_digest ON resources (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX resources_by_message_row ON resources (message_row_id);

CREATE TABLE tries (
    try_row_id           INTEGER PRIMARY KEY,
    resource_row_id      INTEGER NOT NULL REFERENCES resources (resource_row_id) ON DELETE CASCADE,
    started_at           INTEGER NOT NULL,
    ended_at             INTEGER NOT NULL,
    result               TEXT NOT NULL,
    reason_code          TEXT,
    upstream_http_status INTEGER,
    upstream_code        INTEGER,
    upstream_msg         TEXT,
    upstream_log_id      TEXT
) STRICT;
CREATE INDEX tries_by_resource ON tries (resource_row_id, try_row_id);

-- Bytes in the store, once for each digest.
CREATE TABLE blobs (
    blob_row_id INTEGER PRIMARY KEY,
    sha256      TEXT NOT NULL CHECK (length(sha256) = 64),
    size_bytes  INTEGER NOT NULL,
    mime        TEXT,
    stored_at   INTEGER NOT NULL,
    CONSTRAINT blob_identity UNIQUE (sha256)
) STRICT;

-- Counters, kept in the transaction that changes what they count: statistics cost the same at
-- every size of the archive.
CREATE TABLE tallies (
    role      TEXT NOT NULL,
    state     TEXT NOT NULL,
    resources INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (role, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE chat_tallies (
    app_id    TEXT NOT NULL,
    chat_id   TEXT NOT NULL,
    state     TEXT NOT NULL,
    resources INTEGER NOT NULL,
    bytes     INTEGER NOT NULL,
    PRIMARY KEY (app_id, chat_id, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE totals (
    name  TEXT PRIMARY KEY CHECK (name IN ('messages', 'chats', 'blobs', 'blob_bytes')),
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals (name, value) VALUES ('messages', 0), ('chats', 0), ('blobs', 0), ('blob_bytes', 0);

CREATE TRIGGER messages_counted AFTER INSERT ON messages BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'messages';
    INSERT INTO chats (app_id, chat_id, chat_type, messages, last_message_at)
    VALUES (NEW.app_id, NEW.chat_id, NEW.chat_type, 1, COALESCE(NEW.sent_at, NEW.seen_at))
    ON CONFLICT (app_id, chat_id) DO UPDATE SET
        messages = messages + 1,
        chat_type = COALESCE(chat_type, excluded.chat_type),
        last_message_at = MAX(COALESCE(last_message_at, 0), excluded.last_message_at);
END;

CREATE TRIGGER chats_counted AFTER INSERT ON chats BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'chats';
END;

CREATE TRIGGER blobs_counted AFTER INSERT ON blobs BEGIN
    UPDATE totals SET value = value + 1 WHERE name = 'blobs';
    UPDATE totals SET value = value + NEW.size_bytes WHERE name = 'blob_bytes';
END;

CREATE TRIGGER blobs_uncounted AFTER DELETE ON blobs BEGIN
    UPDATE totals SET value = value - 1 WHERE name = 'blobs';
    UPDATE totals SET value = value - OLD.size_bytes WHERE name = 'blob_bytes';
END;

CREATE TRIGGER resources_counted AFTER INSERT ON resources BEGIN
    INSERT INTO tallies (role, state, resources, bytes)
    VALUES (NEW.role, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (role, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
    INSERT INTO chat_tallies (app_id, chat_id, state, resources, bytes)
    VALUES (NEW.app_id, NEW.chat_id, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (app_id, chat_id, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_recounted AFTER UPDATE OF role, state, size_bytes, app_id, chat_id ON resources
WHEN OLD.role <> NEW.role OR OLD.state <> NEW.state OR OLD.size_bytes IS NOT NEW.size_bytes
    OR OLD.chat_id <> NEW.chat_id OR OLD.app_id <> NEW.app_id BEGIN
    UPDATE tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE role = OLD.role AND state = OLD.state;
    INSERT INTO tallies (role, state, resources, bytes)
    VALUES (NEW.role, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (role, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
    UPDATE chat_tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id AND state = OLD.state;
    INSERT INTO chat_tallies (app_id, chat_id, state, resources, bytes)
    VALUES (NEW.app_id, NEW.chat_id, NEW.state, 1, COALESCE(NEW.size_bytes, 0))
    ON CONFLICT (app_id, chat_id, state) DO UPDATE SET resources = resources + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_uncounted AFTER DELETE ON resources BEGIN
    UPDATE tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE role = OLD.role AND state = OLD.state;
    UPDATE chat_tallies SET resources = resources - 1, bytes = bytes - COALESCE(OLD.size_bytes, 0)
    WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id AND state = OLD.state;
END;

-- The texts of reasons, written by the program at every start, so that views can show them.
CREATE TABLE reasons (
    reason_code TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    cause_en    TEXT NOT NULL,
    remedy_zh   TEXT NOT NULL,
    remedy_en   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW v_resources AS
SELECT
    printf('r%012x', r.resource_row_id) AS id,
    r.app_id,
    COALESCE(r.tenant_key, m.tenant_key) AS tenant_key,
    r.source,
    CASE WHEN r.source = 'message' THEN r.owner ELSE m.message_id END AS message_id,
    r.download_message_id,
    NULLIF(r.chat_id, '') AS chat_id,
    c.name AS chat_name,
    COALESCE(m.chat_type, c.chat_type) AS chat_type,
    m.thread_id,
    m.sender_open_id,
    s.name AS sender_name,
    m.sender_type,
    m.message_type,
    r.role,
    r.key,
    NULLIF(r.type, '') AS type,
    r.file_name,
    r.mime,
    r.size_bytes,
    r.sha256,
    CASE WHEN r.state = 'stored'
        THEN 'sha256/' || substr(r.sha256, 1, 2) || '/' || substr(r.sha256, 3, 2) || '/' || r.sha256
    END AS blob_path,
    r.state,
    r.reason_code,
    reasons.cause_en AS reason,
    reasons.remedy_zh,
    reasons.remedy_en,
    r.upstream_http_status,
    r.upstream_code,
    r.upstream_msg,
    r.upstream_log_id,
    r.attempts,
    r.next_attempt_at,
    m.sent_at,
    r.seen_at,
    r.stored_at,
    m.recalled_at,
    COALESCE(m.hidden, 0) AS hidden,
    m.recalled_by
FROM resources AS r
LEFT JOIN messages AS m ON m.message_row_id = r.message_row_id
LEFT JOIN chats AS c ON c.app_id = r.app_id AND c.chat_id = r.chat_id
LEFT JOIN senders AS s ON s.app_id = r.app_id AND s.open_id = m.sender_open_id
LEFT JOIN reasons ON reasons.reason_code = r.reason_code;

CREATE VIEW v_failed AS
SELECT *
FROM v_resources
WHERE state IN ('blocked', 'gone', 'impossible')
    OR (state IN ('pending', 'running') AND reason_code IS NOT NULL);

CREATE VIEW v_messages AS
SELECT
    m.app_id,
    m.tenant_key,
    m.message_id,
    m.chat_id,
    c.name AS chat_name,
    COALESCE(m.chat_type, c.chat_type) AS chat_type,
    m.thread_id,
    m.parent_id,
    m.sender_open_id,
    s.name AS sender_name,
    m.sender_type,
    m.message_type,
    m.text,
    m.problem,
    (SELECT COUNT(*) FROM resources AS r WHERE r.message_row_id = m.message_row_id) AS resources,
    m.sent_at,
    m.seen_at,
    m.recalled_at,
    m.recalled_by
FROM messages AS m
LEFT JOIN chats AS c ON c.app_id = m.app_id AND c.chat_id = m.chat_id
LEFT JOIN senders AS s ON s.app_id = m.app_id AND s.open_id = m.sender_open_id;

CREATE VIEW v_chats AS
SELECT
    c.app_id,
    c.chat_id,
    c.name AS chat_name,
    c.chat_type,
    c.bot_in_chat,
    c.messages,
    COALESCE(SUM(t.resources), 0) AS resources,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state = 'stored'), 0) AS stored,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('pending', 'running')), 0) AS pending,
    COALESCE(SUM(t.resources) FILTER (WHERE t.state IN ('blocked', 'gone', 'impossible')), 0) AS failed,
    COALESCE(SUM(t.bytes) FILTER (WHERE t.state = 'stored'), 0) AS bytes,
    c.last_message_at
FROM chats AS c
LEFT JOIN chat_tallies AS t ON t.app_id = c.app_id AND t.chat_id = c.chat_id
GROUP BY c.chat_row_id;
