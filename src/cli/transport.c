/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of the command line have in common. */
#include "transport.h"

#include <errno.h>
#include <jansson.h>

#include "cleanup.h"

#define CONNECT_TIMEOUT_S 10L

int transport_set_up(CURL *h, const struct config *c, const char *url, char *error)
{
	curl_easy_reset(h);
	error[0] = '\0';
	if (curl_easy_setopt(h, CURLOPT_URL, url) != CURLE_OK) {
		return -ENOMEM;
	}
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "dvm");
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	if (config_url_is_local(c->url)) {
		curl_easy_setopt(h, CURLOPT_PROXY, "");
	}
	if (c->pin) {
		/* The gate's certificate is its own; its public key is what we know. */
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
		if (curl_easy_setopt(h, CURLOPT_PINNEDPUBLICKEY, c->pin) != CURLE_OK) {
			return -ENOMEM;
		}
	} else if (c->cacert) {
		curl_easy_setopt(h, CURLOPT_CAINFO, c->cacert);
	}
	return 0;
}

int transport_fault(const struct config *c, CURLcode code, const char *error, struct fault *fault)
{
	/* libcurl's own words name the address. */
	const char *why = error[0] && !c->door ? error : curl_easy_strerror(code);

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
		fault_set(fault, FAULT_UNAUTHENTICATED,
			  "the server at %s is not the one that DVM_PIN names", config_server(c));
		fault_hint(
			fault,
			"somebody may be in between; if dvm was set up anew, take its new DVM_PIN");
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
		fault_set(fault, FAULT_UNAUTHENTICATED, "cannot verify the server at %s: %s",
			  config_server(c), why);
		fault_hint(fault,
			   "set DVM_PIN to its key or DVM_CACERT to its authority's certificate");
		break;
	case CURLE_OPERATION_TIMEDOUT:
		fault_set(fault, FAULT_TIMEOUT, "no answer from %s in time", config_server(c));
		break;
	default:
		fault_set(fault, FAULT_HOST_AWAY, "cannot reach dvm at %s: %s", config_server(c),
			  why);
		fault_hint(fault,
			   c->door ? "try again in a moment" : "is it running? is DVM_URL right?");
		break;
	}
	return -EREMOTEIO;
}

int transport_problem(const struct buf *body, long status, struct fault *fault)
{
	_cleanup_(json_decrefp) json_t *j =
		json_loadb((const char *)body->mem + body->head, buf_len(body), 0, NULL);
	const char *code = NULL, *title = NULL, *detail = NULL, *hint = NULL;
	enum fault_code parsed;

	if (!j || json_unpack(j, "{s:s, s?s, s?s, s?s}", "code", &code, "title", &title, "detail",
			      &detail, "hint", &hint) < 0) {
		return fault_set(fault,
				 status == 401	 ? FAULT_UNAUTHENTICATED
				 : status == 404 ? FAULT_NOT_FOUND
				 : status >= 500 ? FAULT_INTERNAL
						 : FAULT_PROTOCOL,
				 "the server answered with status %ld", status);
	}
	parsed = fault_code_parse(code);
	fault_set(fault, parsed, "%s", detail && detail[0] ? detail : title ? title : code);
	if (hint) {
		fault_hint(fault, "%s", hint);
	}
	return -EREMOTEIO;
}
