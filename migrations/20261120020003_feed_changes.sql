-- The change feed: other systems follow the archive by asking what has changed since they last asked.

-- One row for each change of a resource, appended in the transaction that makes the change, so that
-- the numbers are in the order of the commits and none turns up behind a reader. Nothing is ever
-- removed from the end, so no number is given twice. A row names the resource and not what changed:
-- readers are shown the resource as it stands when they ask. An append costs one insert at the end of
-- one tree; a number in the resource's own row would cost a second update of it and an index.
CREATE TABLE changes (
    seq             INTEGER PRIMARY KEY,
    resource_row_id INTEGER NOT NULL
) STRICT;

INSERT INTO changes (resource_row_id) SELECT resource_row_id FROM resources ORDER BY resource_row_id;

CREATE TRIGGER changes_of_new_resources AFTER INSERT ON resources BEGIN
    INSERT INTO changes (resource_row_id) VALUES (NEW.resource_row_id);
END;

-- Everything that the public form of a resource shows of its row. Whether a value is another one is not
-- asked: to compare them all costs more than the row, and a change may be told twice.
CREATE TRIGGER changes_of_resources AFTER UPDATE OF
    state, reason_code, attempts, next_attempt_at, stored_at, sha256, size_bytes, mime, file_name,
    upstream_http_status, upstream_code, upstream_msg, upstream_log_id, message_row_id, chat_id, tenant_key,
    download_message_id, role, type, key, source, owner, app_id, seen_at, listed_at ON resources BEGIN
    INSERT INTO changes (resource_row_id) VALUES (NEW.resource_row_id);
END;

-- An opened forward goes: whoever was told of its row is told that there is none.
CREATE TRIGGER changes_of_removed_resources AFTER DELETE ON resources BEGIN
    INSERT INTO changes (resource_row_id) VALUES (OLD.resource_row_id);
END;

-- What a resource shows of its message: recalled, hidden, or known by hearsay and now completed.
CREATE TRIGGER changes_of_messages AFTER UPDATE OF
    tenant_key, message_id, chat_type, thread_id, sender_open_id, sender_type, message_type, sent_at, recalled_at,
    hidden ON messages BEGIN
    INSERT INTO changes (resource_row_id)
    SELECT resource_row_id FROM resources WHERE message_row_id = NEW.message_row_id ORDER BY resource_row_id;
END;
