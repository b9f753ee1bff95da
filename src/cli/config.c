/* SPDX-License-Identifier: Apache-2.0 */
/* Where dvm is and who we are: environment or ~/.config/dvm/config. */
#include "config.h"

#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "file.h"
#include "ini.h"
#include "parse.h"

int config_dir(char **ret, struct fault *fault)
{
	const char *xdg = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	_cleanup_free_ char *dir = NULL;
	int r;

	if (xdg && xdg[0] == '/') {
		dir = strf("%s/dvm", xdg);
	} else if (home && home[0] == '/') {
		dir = strf("%s/.config/dvm", home);
	} else {
		return fault_set(fault, FAULT_BAD_REQUEST, "HOME is not set");
	}
	if (!dir) {
		return -ENOMEM;
	}
	r = dir_make(dir, 0700);
	if (r < 0) {
		return fault_set(fault, FAULT_BAD_REQUEST, "cannot make %s: %s", dir, strerror(-r));
	}
	*ret = TAKE_PTR(dir);
	return 0;
}

bool config_url_is_local(const char *url)
{
	static const char *const hosts[] = { "127.", "localhost", "[::1]" };
	const char *host = strstr(url, "://");

	host = host ? host + 3 : url;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		size_t len = strlen(hosts[i]);

		if (strncmp(host, hosts[i], len) != 0) {
			continue;
		}
		if (i == 0) {
			/* 127.0.0.1, but not 127.example.org */
			len = strspn(host, "0123456789.");
		}
		return host[len] == '\0' || host[len] == ':' || host[len] == '/';
	}
	return false;
}

int config_check_url(const char *url, struct fault *fault)
{
	size_t rest;

	if (strncmp(url, "https://", 8) == 0) {
		rest = 8;
	} else if (strncmp(url, "http://", 7) == 0 && config_url_is_local(url)) {
		rest = 7;
	} else {
		fault_set(fault, FAULT_BAD_VALUE, "\"%.80s\" is not an address of dvm", url);
		fault_hint(fault, "it looks like https://HOST:PORT");
		return -EREMOTEIO;
	}
	if (url[rest] == '\0' || strpbrk(url + rest, "@?# \t")) {
		fault_set(fault, FAULT_BAD_VALUE, "\"%.80s\" is not an address of dvm", url);
		fault_hint(fault, "it looks like https://HOST:PORT");
		return -EREMOTEIO;
	}
	return 0;
}

static int take_key(const char *section, const char *key, const char *value, unsigned line,
		    void *user, struct fault *fault)
{
	struct config *c = user;
	const struct {
		const char *key;
		char **to;
	} keys[] = {
		{ "url", &c->url },
		{ "token", &c->token },
		{ "pin", &c->pin },
		{ "cacert", &c->cacert },
	};

	for (size_t i = 0; section && strcmp(section, "dvm") == 0 && i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].key, key) == 0) {
			free(*keys[i].to);
			*keys[i].to = strdup(value);
			return *keys[i].to ? 0 : -ENOMEM;
		}
	}
	return fault_set(fault, FAULT_BAD_VALUE,
			 "line %u: unknown key \"%.60s\" in section \"%.60s\"", line, key,
			 section ? section : "");
}

static int load_file(struct config *c, struct fault *fault)
{
	_cleanup_free_ char *dir = NULL;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	int r;

	r = config_dir(&dir, fault);
	if (r < 0) {
		return r;
	}
	path = strf("%s/config", dir);
	if (!path) {
		return -ENOMEM;
	}
	if (stat(path, &st) == 0 && (st.st_mode & 077)) {
		fault_set(fault, FAULT_BAD_REQUEST, "others can read %s, which holds a token",
			  path);
		fault_hint(fault, "chmod 600 %s", path);
		return -EREMOTEIO;
	}
	r = ini_parse_file(path, take_key, c, fault);
	return r == -ENOENT ? 0 : r;
}

static int from_env(const char *name, char **to)
{
	const char *v = getenv(name);

	if (v && v[0]) {
		*to = strdup(v);
		return *to ? 0 : -ENOMEM;
	}
	return 0;
}

int config_load(struct config *ret, struct fault *fault)
{
	struct config c = { 0 };
	int r;

	r = from_env("DVM_URL", &c.url);
	if (r == 0 && c.url) {
		r = from_env("DVM_TOKEN", &c.token);
		if (r == 0) {
			r = from_env("DVM_PIN", &c.pin);
		}
		if (r == 0) {
			r = from_env("DVM_CACERT", &c.cacert);
		}
	} else if (r == 0) {
		r = load_file(&c, fault);
	}
	c.door = getenv("DVM_DOOR") != NULL;
	if (r == 0 && !c.url) {
		fault_set(fault, FAULT_BAD_REQUEST, "no dvm is configured");
		fault_hint(fault, "set DVM_URL and DVM_TOKEN, or start one here: eval \"$(dvm up "
				  "--detach)\"");
		r = -EREMOTEIO;
	}
	if (r == 0) {
		for (size_t len = strlen(c.url); len > 0 && c.url[len - 1] == '/'; len--) {
			c.url[len - 1] = '\0';
		}
		r = config_check_url(c.url, fault);
	}
	if (r < 0) {
		config_fini(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void config_fini(struct config *c)
{
	if (c->token) {
		explicit_bzero(c->token, strlen(c->token));
	}
	free(c->url);
	free(c->token);
	free(c->pin);
	free(c->cacert);
	*c = (struct config){ 0 };
}
