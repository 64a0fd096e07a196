-- What pages and statistics show by day, and what needs a person, kept so that both cost the same at
-- every size of the archive.

-- Counted are quarters of an hour since 1970-01-01 UTC, of which every day of every time zone is made up:
-- where the archive's people live is a setting that may change. `found` counts resources in the quarter in
-- which they were first seen, `stored` and `bytes` in the one in which their bytes became safe. Forwards are
-- no resources yet and not counted. A download costs one row change when it is found and one when it is stored; what happens
-- in between costs none.
CREATE TABLE quarter_tallies (
    quarter INTEGER NOT NULL,
    role    TEXT NOT NULL,
    found   INTEGER NOT NULL DEFAULT 0,
    stored  INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (quarter, role)
) STRICT, WITHOUT ROWID;

-- Blobs that came new in a quarter of an hour: what was stored beyond them was there already.
CREATE TABLE quarter_blobs (
    quarter    INTEGER PRIMARY KEY,
    blobs      INTEGER NOT NULL,
    blob_bytes INTEGER NOT NULL
) STRICT;

INSERT INTO quarter_tallies (quarter, role, found)
SELECT seen_at / 900000, role, COUNT(*)
FROM resources
WHERE role <> 'forward'
GROUP BY 1, 2;

INSERT INTO quarter_tallies (quarter, role, stored, bytes)
SELECT stored_at / 900000, role, COUNT(*), SUM(size_bytes)
FROM resources
WHERE state = 'stored' AND role <> 'forward'
GROUP BY 1, 2
ON CONFLICT (quarter, role) DO UPDATE SET stored = excluded.stored, bytes = excluded.bytes;

INSERT INTO quarter_blobs (quarter, blobs, blob_bytes)
SELECT stored_at / 900000, COUNT(*), SUM(size_bytes)
FROM blobs
GROUP BY 1;

CREATE TRIGGER resources_found_then AFTER INSERT ON resources WHEN NEW.role <> 'forward' BEGIN
    INSERT INTO quarter_tallies (quarter, role, found)
    VALUES (NEW.seen_at / 900000, NEW.role, 1)
    ON CONFLICT (quarter, role) DO UPDATE SET found = found + 1;
END;

CREATE TRIGGER resources_added_stored_then AFTER INSERT ON resources WHEN NEW.state = 'stored' BEGIN
    INSERT INTO quarter_tallies (quarter, role, stored, bytes)
    VALUES (NEW.stored_at / 900000, NEW.role, 1, NEW.size_bytes)
    ON CONFLICT (quarter, role) DO UPDATE SET stored = stored + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER resources_lost_then AFTER DELETE ON resources WHEN OLD.role <> 'forward' BEGIN
    UPDATE quarter_tallies SET found = found - 1 WHERE quarter = OLD.seen_at / 900000 AND role = OLD.role;
    UPDATE quarter_tallies SET stored = stored - 1, bytes = bytes - OLD.size_bytes
    WHERE OLD.state = 'stored' AND quarter = OLD.stored_at / 900000 AND role = OLD.role;
END;

-- A resource that was fetched by hand learns its role when its message comes.
CREATE TRIGGER resources_found_as_something_else AFTER UPDATE OF role ON resources WHEN OLD.role <> NEW.role BEGIN
    UPDATE quarter_tallies SET found = found - 1 WHERE quarter = OLD.seen_at / 900000 AND role = OLD.role;
    INSERT INTO quarter_tallies (quarter, role, found)
    VALUES (NEW.seen_at / 900000, NEW.role, 1)
    ON CONFLICT (quarter, role) DO UPDATE SET found = found + 1;
END;

CREATE TRIGGER resources_no_longer_stored_then AFTER UPDATE OF role, state, size_bytes, stored_at ON resources
WHEN OLD.state = 'stored' AND (
    NEW.state <> 'stored' OR OLD.role <> NEW.role OR OLD.size_bytes <> NEW.size_bytes OR OLD.stored_at <> NEW.stored_at
) BEGIN
    UPDATE quarter_tallies SET stored = stored - 1, bytes = bytes - OLD.size_bytes
    WHERE quarter = OLD.stored_at / 900000 AND role = OLD.role;
END;

CREATE TRIGGER resources_stored_then AFTER UPDATE OF role, state, size_bytes, stored_at ON resources
WHEN NEW.state = 'stored' AND (
    OLD.state <> 'stored' OR OLD.role <> NEW.role OR OLD.size_bytes <> NEW.size_bytes OR OLD.stored_at <> NEW.stored_at
) BEGIN
    INSERT INTO quarter_tallies (quarter, role, stored, bytes)
    VALUES (NEW.stored_at / 900000, NEW.role, 1, NEW.size_bytes)
    ON CONFLICT (quarter, role) DO UPDATE SET stored = stored + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER blobs_added_then AFTER INSERT ON blobs BEGIN
    INSERT INTO quarter_blobs (quarter, blobs, blob_bytes)
    VALUES (NEW.stored_at / 900000, 1, NEW.size_bytes)
    ON CONFLICT (quarter) DO UPDATE SET blobs = blobs + 1, blob_bytes = blob_bytes + excluded.blob_bytes;
END;

CREATE TRIGGER blobs_removed_then AFTER DELETE ON blobs BEGIN
    UPDATE quarter_blobs SET blobs = blobs - 1, blob_bytes = blob_bytes - OLD.size_bytes
    WHERE quarter = OLD.stored_at / 900000;
END;

-- What failed, in groups that a person looks at together, the newest of each group first. What never
-- failed is not in it.
CREATE INDEX resources_by_reason ON resources (reason_code, state, app_id, listed_at) WHERE reason_code IS NOT NULL;

-- The chats that fill the store.
CREATE INDEX chat_tallies_by_bytes ON chat_tallies (bytes) WHERE state = 'stored';
