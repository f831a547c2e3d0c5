{{/* What all pods share: who they run as, how they reach NATS, how they are asked for their health. */}}

{{/* autotiler.podSpec (list $ COMPONENT): the beginning of a pod's spec, as the restricted level asks for. */}}
{{- define "autotiler.podSpec" -}}
{{- $ := first . -}}
serviceAccountName: {{ include "autotiler.fullname" $ }}-{{ last . }}
{{- with $.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ $.Values.runAsUser }}
  runAsGroup: {{ $.Values.runAsUser }}
  fsGroup: {{ $.Values.runAsUser }}
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "autotiler.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a component's pods may run. */}}
{{- define "autotiler.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* autotiler.spread (list $ COMPONENT) */}}
{{- define "autotiler.spread" -}}
{{- with (first .).Values.topologySpread }}
{{- if .enabled }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: {{ .topologyKey }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "autotiler.selector" $ | nindent 8 }}
{{- end }}
{{- end }}
{{- end }}

{{/* autotiler.env (list $ ADMIN_PORT): logs, the admin port, NATS and how to log in there. */}}
{{- define "autotiler.env" -}}
{{- $ := first . -}}
- name: AUTOTILER_LOG
  value: {{ $.Values.log.filter | quote }}
- name: AUTOTILER_LOG_FORMAT
  value: {{ $.Values.log.format }}
- name: AUTOTILER_ADMIN
  value: 0.0.0.0:{{ last . }}
- name: AUTOTILER_NATS
  value: {{ include "autotiler.natsUrl" $ | quote }}
{{- if $.Values.nats.auth.enabled }}
- name: AUTOTILER_NATS_CREDENTIALS
  value: /etc/autotiler/nats/nats.creds
{{- end }}
{{- if $.Values.nats.tls.enabled }}
- name: AUTOTILER_NATS_CA
  value: /etc/autotiler/nats-tls/ca.crt
{{- end }}
{{- end }}

{{- define "autotiler.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.nats.auth.enabled }}
- name: nats
  mountPath: /etc/autotiler/nats
  readOnly: true
{{- end }}
{{- if .Values.nats.tls.enabled }}
- name: nats-tls
  mountPath: /etc/autotiler/nats-tls
  readOnly: true
{{- end }}
{{- end }}

{{/* autotiler.volumes (list $ IDENTITY): the Secret of that identity, and what a client must trust. */}}
{{- define "autotiler.volumes" -}}
{{- $ := first . -}}
- name: tmp
  emptyDir: {}
{{- if $.Values.nats.auth.enabled }}
- name: nats
  secret:
    secretName: {{ include "autotiler.secretPrefix" $ }}-{{ last . }}
    items: [{key: nats.creds, path: nats.creds}]
    defaultMode: 288 # 0440, as every reader of YAML understands it
{{- end }}
{{- if $.Values.nats.tls.enabled }}
- name: nats-tls
  secret:
    secretName: {{ include "autotiler.tlsSecret" $ }}
    # Never the key.
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{/* The model of decoders and devices. */}}
{{- define "autotiler.modelPath" -}}
{{- with .Values.model -}}
{{- if or .claim .image -}}
/opt/autotiler/model{{ with .path }}/{{ trimPrefix "/" . }}{{ end }}
{{- else -}}
{{ .path | default "/opt/autotiler/models/street" }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "autotiler.modelMount" -}}
{{- if or .Values.model.claim .Values.model.image }}
- name: model
  mountPath: /opt/autotiler/model
  readOnly: true
{{- end }}
{{- end }}

{{- define "autotiler.modelVolume" -}}
{{- with .Values.model }}
{{- if .claim }}
- name: model
  persistentVolumeClaim:
    claimName: {{ .claim }}
    readOnly: true
{{- else if .image }}
- name: model
  image:
    reference: {{ .image | quote }}
    pullPolicy: {{ $.Values.image.pullPolicy }}
{{- end }}
{{- end }}
{{- end }}

{{/* Probes of the admin port called "admin". A slow start is no death: the first look has two minutes. */}}
{{- define "autotiler.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}
