/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where dvm is and who we are: DVM_URL, DVM_TOKEN, DVM_PIN, DVM_CACERT, or the same as url, token,
 * pin, cacert under [dvm] in ~/.config/dvm/config. With DVM_URL set the file is not read, so that a
 * token never goes to a server it was not made for.
 */
#pragma once

#include <stdbool.h>

#include "fault.h"

struct config {
	char *url; /* https://HOST[:PORT], no slash at its end */
	char *token;
	char *pin;    /* sha256//BASE64 of the gate's public key, or NULL */
	char *cacert; /* PEM file, or NULL */
	bool door; /* run by the SSH door (DVM_DOOR): for somebody to whom our URL means nothing */
};

/* The server in a message. */
static inline const char *config_server(const struct config *c)
{
	return c->door ? "its gate" : c->url;
}

int config_load(struct config *ret, struct fault *fault) _must_check_;
void config_fini(struct config *c);
/* https, or http towards this machine only. */
int config_check_url(const char *url, struct fault *fault) _must_check_;
/* Host of a valid URL is this machine itself (127.0.0.0/8, ::1, localhost). */
bool config_url_is_local(const char *url);

/* $XDG_CONFIG_HOME/dvm or ~/.config/dvm, made 0700 when missing. */
int config_dir(char **ret, struct fault *fault) _must_check_;
