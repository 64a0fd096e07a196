-- Which pieces the text index knows, in their order: the beginning of a word is looked up here, and asked for
-- as the few words that begin so. The index itself would put all their rows together before the first comes out.
CREATE VIRTUAL TABLE search_pieces USING fts5vocab ('search_index', 'instance');
