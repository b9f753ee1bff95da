/* SPDX-License-Identifier: Apache-2.0 */
/* The life of D-VMs at libvirt: the verbs dvm_… of struct hypervisor_ops. */
#pragma once

#include "hypervisor.h"

int libvirt_dvm_shape(struct hypervisor *hv, const struct dvm_spec *spec, char **ret,
		      struct fault *fault) _must_check_;
int libvirt_dvm_create(struct hypervisor *hv, const struct dvm_spec *spec,
		       struct fault *fault) _must_check_;
int libvirt_dvm_settled(struct hypervisor *hv, const char *session, bool *ret,
			struct fault *fault) _must_check_;
int libvirt_dvm_save(struct hypervisor *hv, const char *session, const char *path,
		     struct fault *fault) _must_check_;
int libvirt_dvm_destroy(struct hypervisor *hv, const char *session,
			struct fault *fault) _must_check_;
int libvirt_dvm_get(struct hypervisor *hv, const char *session, struct domain_info *ret,
		    struct fault *fault) _must_check_;
int libvirt_dvm_resume(struct hypervisor *hv, const char *session,
		       struct fault *fault) _must_check_;
int libvirt_dvm_pause(struct hypervisor *hv, const char *session, struct fault *fault) _must_check_;
int libvirt_dvm_adopt(struct hypervisor *hv, const struct dvm_adoption *adoption,
		      struct fault *fault) _must_check_;
int libvirt_dvm_tunnel_open(struct hypervisor *hv, const char *session, int *ret_fd,
			    struct fault *fault) _must_check_;
int libvirt_dvm_disk_attach(struct hypervisor *hv, const struct dvm_disk *disk,
			    struct fault *fault) _must_check_;
int libvirt_dvm_disk_detach(struct hypervisor *hv, const char *session, const char *serial,
			    unsigned patience_ms, struct fault *fault) _must_check_;
int libvirt_dvm_port_attach(struct hypervisor *hv, const struct dvm_port *port,
			    char ret_place[DVM_PORT_PLACE_MAX + 1],
			    struct fault *fault) _must_check_;
int libvirt_dvm_port_open(struct hypervisor *hv, const struct dvm_port *port, int *ret_fd,
			  struct fault *fault) _must_check_;
int libvirt_dvm_port_detach(struct hypervisor *hv, const struct dvm_port *port,
			    unsigned patience_ms, struct fault *fault) _must_check_;
