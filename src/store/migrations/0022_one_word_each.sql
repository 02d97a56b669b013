-- "Moderator" is the word for members who may change a group, and for nothing else: whom it meant among people is an
-- employee, and whoever looks after some classes on the admin pages is their lead.

ALTER TABLE participants RENAME COLUMN role TO earlier_role;
ALTER TABLE participants ADD COLUMN role TEXT NOT NULL DEFAULT 'member'
    CHECK (role IN ('member', 'employee', 'admin', 'bot'));
UPDATE participants SET role = CASE earlier_role WHEN 'moderator' THEN 'employee' ELSE earlier_role END;
ALTER TABLE participants DROP COLUMN earlier_role;

ALTER TABLE people RENAME COLUMN role TO earlier_role;
ALTER TABLE people ADD COLUMN role TEXT NOT NULL DEFAULT 'member'
    CHECK (role IN ('member', 'employee', 'admin', 'bot'));
UPDATE people SET role = CASE earlier_role WHEN 'moderator' THEN 'employee' ELSE earlier_role END;
ALTER TABLE people DROP COLUMN earlier_role;

ALTER TABLE admin_accounts RENAME COLUMN role TO earlier_role;
ALTER TABLE admin_accounts ADD COLUMN role TEXT NOT NULL DEFAULT 'admin' CHECK (role IN ('admin', 'class-lead'));
UPDATE admin_accounts SET role = CASE earlier_role WHEN 'moderator' THEN 'class-lead' ELSE earlier_role END;
ALTER TABLE admin_accounts DROP COLUMN earlier_role;

-- What undoing an import needs, and what may pass to a neighbour, name roles, too.
UPDATE imports SET before = json_set(before, '$.people', json((
        SELECT json_group_array(json_set(value, '$.role', json_array(
            replace(value ->> '$.role[0]', 'moderator', 'employee'),
            replace(value ->> '$.role[1]', 'moderator', 'employee'))))
        FROM json_each(before, '$.people'))))
    WHERE json_type(before, '$.people') = 'array';
UPDATE neighbours SET contract = json_set(contract, '$.roles', json((
        SELECT json_group_array(CASE value WHEN 'moderator' THEN 'employee' ELSE value END)
        FROM json_each(contract, '$.roles'))))
    WHERE json_type(contract, '$.roles') = 'array';

-- What admins delete is a group.
UPDATE audit_log SET action = 'group-deleted' WHERE action = 'chat-deleted';
