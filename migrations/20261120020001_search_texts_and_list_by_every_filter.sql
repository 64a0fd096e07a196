-- Searching texts, and pages of every single filter read in order from an index.

-- What a message says of its resources is repeated in them, so that an index can list them by it.
ALTER TABLE resources ADD COLUMN sender_open_id TEXT;
ALTER TABLE resources ADD COLUMN message_type TEXT;
UPDATE resources SET (sender_open_id, message_type) = (
    SELECT m.sender_open_id, m.message_type FROM messages AS m WHERE m.message_row_id = resources.message_row_id
)
WHERE message_row_id IS NOT NULL;

CREATE TRIGGER messages_described AFTER UPDATE OF sender_open_id, message_type ON messages
WHEN OLD.sender_open_id IS NOT NEW.sender_open_id OR OLD.message_type IS NOT NEW.message_type BEGIN
    UPDATE resources SET sender_open_id = NEW.sender_open_id, message_type = NEW.message_type
    WHERE message_row_id = NEW.message_row_id;
END;

-- One index for each filter, in the order of listings. Most resources come from messages, so only
-- the others need to be found by their source.
CREATE INDEX resources_by_sender ON resources (sender_open_id, listed_at, resource_row_id);
CREATE INDEX resources_by_message_type ON resources (message_type, listed_at, resource_row_id);
CREATE INDEX resources_by_role ON resources (role, listed_at, resource_row_id);
CREATE INDEX resources_by_app ON resources (app_id, listed_at, resource_row_id);
CREATE INDEX resources_by_mime ON resources (mime, listed_at, resource_row_id) WHERE mime IS NOT NULL;
CREATE INDEX resources_by_source ON resources (source, listed_at, resource_row_id) WHERE source <> 'message';
DROP INDEX resources_by_digest;
CREATE INDEX resources_by_digest ON resources (sha256, listed_at, resource_row_id) WHERE sha256 IS NOT NULL;

-- The text index keeps no texts, only which rows have which pieces of text; pieces are made by the
-- program. Its row numbers grow with the time a resource is listed under: that time, shifted by 15
-- bits, and a number that tells apart what shares a millisecond. So the newest hits come first,
-- without sorting, also after older messages were added.
--
-- A row of the index is never changed or removed, which without the texts would need what newer
-- versions of SQLite know: a resource that changes gets another row, and the old one loses its
-- entry in search_rows, but keeps its number.
CREATE VIRTUAL TABLE search_index USING fts5 (
    pieces, content = '', columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE TABLE search_rows (
    search_row_id   INTEGER PRIMARY KEY,
    resource_row_id INTEGER
) STRICT;

-- Resources whose text the index does not know yet, or (`again`) no longer as it is: only these may have a row
-- in the index, which is looked for among all that share their millisecond.
CREATE TABLE search_pending (
    resource_row_id INTEGER PRIMARY KEY,
    again           INTEGER NOT NULL CHECK (again IN (0, 1))
) STRICT;
INSERT INTO search_pending (resource_row_id, again) SELECT resource_row_id, 0 FROM resources;

CREATE TRIGGER resources_to_search AFTER INSERT ON resources BEGIN
    INSERT INTO search_pending (resource_row_id, again) VALUES (NEW.resource_row_id, 0)
    ON CONFLICT (resource_row_id) DO NOTHING;
END;

CREATE TRIGGER resources_to_search_again
AFTER UPDATE OF file_name, role, app_id, chat_id, sender_open_id, message_row_id, listed_at ON resources
WHEN OLD.file_name IS NOT NEW.file_name OR OLD.role <> NEW.role OR OLD.app_id <> NEW.app_id
    OR OLD.chat_id <> NEW.chat_id OR OLD.sender_open_id IS NOT NEW.sender_open_id
    OR OLD.message_row_id IS NOT NEW.message_row_id OR OLD.listed_at <> NEW.listed_at BEGIN
    INSERT INTO search_pending (resource_row_id, again) VALUES (NEW.resource_row_id, 1)
    ON CONFLICT (resource_row_id) DO UPDATE SET again = 1;
END;

-- The row in the index is found by the time, so it has to go before the time is forgotten.
CREATE TRIGGER resources_listed_elsewhere AFTER UPDATE OF listed_at ON resources
WHEN OLD.listed_at <> NEW.listed_at BEGIN
    UPDATE search_rows SET resource_row_id = NULL
    WHERE search_row_id BETWEEN OLD.listed_at << 15 AND (OLD.listed_at << 15) + 32767
        AND resource_row_id = OLD.resource_row_id;
END;

CREATE TRIGGER resources_not_to_search AFTER DELETE ON resources BEGIN
    DELETE FROM search_pending WHERE resource_row_id = OLD.resource_row_id;
    UPDATE search_rows SET resource_row_id = NULL
    WHERE search_row_id BETWEEN OLD.listed_at << 15 AND (OLD.listed_at << 15) + 32767
        AND resource_row_id = OLD.resource_row_id;
END;

CREATE TRIGGER messages_to_search_again AFTER UPDATE OF text ON messages WHEN OLD.text IS NOT NEW.text BEGIN
    INSERT INTO search_pending (resource_row_id, again)
    SELECT resource_row_id, 1 FROM resources WHERE message_row_id = NEW.message_row_id
    ON CONFLICT (resource_row_id) DO UPDATE SET again = 1;
END;

-- Names of chats (even row numbers) and senders (odd ones) have an index of their own: a rename
-- rewrites one row, and none of the resources'.
CREATE VIRTUAL TABLE name_index USING fts5 (
    pieces, columnsize = 0, detail = none, tokenize = "ascii tokenchars '_'"
);
CREATE TABLE name_pending (
    name_row_id INTEGER PRIMARY KEY
) STRICT;
INSERT INTO name_pending (name_row_id) SELECT chat_row_id * 2 FROM chats WHERE name IS NOT NULL;
INSERT INTO name_pending (name_row_id) SELECT sender_row_id * 2 + 1 FROM senders WHERE name IS NOT NULL;

CREATE TRIGGER chats_introduced AFTER INSERT ON chats WHEN NEW.name IS NOT NULL BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.chat_row_id * 2) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER chats_renamed AFTER UPDATE OF name ON chats WHEN OLD.name IS NOT NEW.name BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.chat_row_id * 2) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER senders_introduced AFTER INSERT ON senders WHEN NEW.name IS NOT NULL BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.sender_row_id * 2 + 1) ON CONFLICT (name_row_id) DO NOTHING;
END;
CREATE TRIGGER senders_renamed AFTER UPDATE OF name ON senders WHEN OLD.name IS NOT NEW.name BEGIN
    INSERT INTO name_pending (name_row_id) VALUES (NEW.sender_row_id * 2 + 1) ON CONFLICT (name_row_id) DO NOTHING;
END;
