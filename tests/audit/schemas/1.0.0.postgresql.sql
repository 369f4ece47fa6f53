SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.audit_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.audit_records (
    id bigint NOT NULL,
    incident character varying(200) NOT NULL,
    first_run_id character varying(64) NOT NULL,
    number integer NOT NULL,
    key character varying(400) NOT NULL,
    at timestamp with time zone NOT NULL,
    event character varying(60) NOT NULL,
    by character varying(200) NOT NULL,
    text text NOT NULL,
    data text NOT NULL,
    previous character varying(64) NOT NULL,
    anchor character varying(64) NOT NULL,
    hash character varying(64) NOT NULL
);
CREATE SEQUENCE public.audit_records_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_records_id_seq OWNED BY public.audit_records.id;
CREATE TABLE public.digest_items (
    key character varying(400) NOT NULL,
    destination character varying(200) NOT NULL,
    incident character varying(200) NOT NULL,
    at timestamp with time zone NOT NULL,
    content text NOT NULL,
    drill boolean NOT NULL,
    digest character varying(300)
);
CREATE TABLE public.digests (
    key character varying(300) NOT NULL,
    destination character varying(200) NOT NULL,
    started_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    receipt text NOT NULL
);
CREATE TABLE public.policies (
    id bigint NOT NULL,
    digest character varying(64) NOT NULL,
    since timestamp with time zone NOT NULL,
    content text NOT NULL
);
CREATE SEQUENCE public.policies_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.policies_id_seq OWNED BY public.policies.id;
CREATE TABLE public.tocsin_schema_version (
    version_num character varying(32) NOT NULL
);
ALTER TABLE ONLY public.audit_records ALTER COLUMN id SET DEFAULT nextval('public.audit_records_id_seq'::regclass);
ALTER TABLE ONLY public.policies ALTER COLUMN id SET DEFAULT nextval('public.policies_id_seq'::regclass);
INSERT INTO public.audit_records VALUES (1, 'incident-a', 'run-1', 1, '1', '2026-11-24 07:00:00+00', 'received', 'tocsin', 'ünïcode ✓', '{"n": 1.5}', '0000000000000000000000000000000000000000000000000000000000000000', '0000000000000000000000000000000000000000000000000000000000000000', 'e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0');
INSERT INTO public.audit_records VALUES (2, 'incident-a', 'run-1', 2, '2', '2026-11-24 07:00:00+00', 'classified', 'tocsin', 'ünïcode ✓', '{"n": 1.5}', 'e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0', 'e768802dbabdf5431598f738da16f45f88a66c4966e282883c7625707f9ce3a0', '403a6a26f4574374a69024f36486057b86f97908b95c591fbf98e0592999d842');
INSERT INTO public.digest_items VALUES ('item-of-digest-a', 'daily', 'incident-a', '2026-11-24 07:00:00+00', '{}', false, 'digest-a');
INSERT INTO public.digest_items VALUES ('item-of-digest-b', 'daily', 'incident-a', '2026-11-24 07:00:00+00', '{}', false, 'digest-b');
INSERT INTO public.digests VALUES ('digest-a', 'daily', '2026-11-24 07:00:00+00', '2026-11-24 07:00:00+00', '{"id": "1"}');
INSERT INTO public.digests VALUES ('digest-b', 'daily', '2026-11-24 07:00:00+00', NULL, '');
INSERT INTO public.policies VALUES (1, '09bfcc6a14b8', '2026-11-24 07:00:00+00', '[["policy.yaml", "dmVyc2lvbjogMQo="]]');
INSERT INTO public.tocsin_schema_version VALUES ('v1_0_0');
SELECT pg_catalog.setval('public.audit_records_id_seq', 2, true);
SELECT pg_catalog.setval('public.policies_id_seq', 1, true);
ALTER TABLE ONLY public.audit_records
    ADD CONSTRAINT audit_records_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_records
    ADD CONSTRAINT audit_records_unique_key UNIQUE (incident, first_run_id, key);
ALTER TABLE ONLY public.audit_records
    ADD CONSTRAINT audit_records_unique_number UNIQUE (incident, first_run_id, number);
ALTER TABLE ONLY public.digest_items
    ADD CONSTRAINT digest_items_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.digests
    ADD CONSTRAINT digests_pkey PRIMARY KEY (key);
ALTER TABLE ONLY public.policies
    ADD CONSTRAINT policies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.policies
    ADD CONSTRAINT policies_unique_digest UNIQUE (digest);
ALTER TABLE ONLY public.tocsin_schema_version
    ADD CONSTRAINT tocsin_schema_version_pkc PRIMARY KEY (version_num);
CREATE INDEX audit_records_by_at ON public.audit_records USING btree (at);
CREATE INDEX digest_items_by_destination ON public.digest_items USING btree (destination, at);
CREATE INDEX digest_items_by_digest ON public.digest_items USING btree (digest);
CREATE TRIGGER audit_records_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_records FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_change();
CREATE TRIGGER policies_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.policies FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse_change();
