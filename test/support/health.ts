export interface Health {
  status: "ok" | "degraded" | "failing";
  pop: string;
  image?: string;
  reason?: string;
  components: Record<string, { status: string; reason?: string }>;
  certificates: { host: string; notAfter: string; serial?: string; selfSigned: boolean; error?: string }[];
  maintenance?: string[];
  ports?: Record<string, { connections: Record<string, number>; sentBytes: number; receivedBytes: number }>;
  passThrough?: Health["ports"];
}
