package mcp

import (
	"errors"
	"io"

	"github.com/f1bonacc1/process-compose/src/types"
)

// MCPManager would serve processes to language models, which no process of a PoP is for.
type MCPManager struct{}

// NewMCPManager returns nil unless the project configures such a server.
func NewMCPManager(_ any, server *types.MCPServerConfig, _ types.Processes) *MCPManager {
	if server == nil || !server.IsEnabled() {
		return nil
	}
	return &MCPManager{}
}

// Start fails if there is something to start.
func (m *MCPManager) Start() error {
	if m != nil {
		return errors.New("mcp_server: its server was left out of the process-compose of this image")
	}
	return nil
}

func (m *MCPManager) Stop() error                       { return nil }
func (m *MCPManager) SetStdio(_ io.Reader, _ io.Writer) {}
