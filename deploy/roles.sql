-- The roles of Fracture Site, for clusters where the owner of the tables may not create roles.
-- Run once as a superuser, connected to the site's database; then `manage.py db_migrate` as the owner.
-- Replace the passwords, and fracture_owner by the role in DATABASE_OWNER_URL.

CREATE ROLE fracture_app LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD 'change-me';
CREATE ROLE fracture_lookup NOLOGIN NOBYPASSRLS;
GRANT fracture_lookup TO fracture_owner WITH INHERIT FALSE, SET TRUE;

GRANT USAGE ON SCHEMA public TO fracture_app, fracture_lookup;
GRANT CREATE ON SCHEMA public TO fracture_lookup;

ALTER DEFAULT PRIVILEGES FOR ROLE fracture_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO fracture_app;
ALTER DEFAULT PRIVILEGES FOR ROLE fracture_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO fracture_app;
ALTER DEFAULT PRIVILEGES FOR ROLE fracture_owner IN SCHEMA public
    GRANT EXECUTE ON FUNCTIONS TO fracture_app;
ALTER DEFAULT PRIVILEGES FOR ROLE fracture_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Behind pgbouncer (DB_PGBOUNCER=true) sessions cannot bring their own limits along:
-- ALTER ROLE fracture_app SET statement_timeout = '15000ms';
-- ALTER ROLE fracture_app SET idle_in_transaction_session_timeout = '120000ms';
