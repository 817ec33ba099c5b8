-- Tells a Radiarch gateway that a study has come, for an Orthanc without the Python plugin (`"LuaScripts"`).
--
-- Weaker than radiarch_hook.py in two ways. Lua in Orthanc cannot sign: the hint bears a token as it is, so use it
-- over loopback or TLS alone. And a hint that the gateway does not take is lost: the gateway then finds the study by
-- itself, `look_every_s` later. Set a short "HttpTimeout": Orthanc waits for the answer.
--
-- Variables of Orthanc's process: RADIARCH_HOOK_URL (https://gateway/api/v1/hooks/orthanc/<PACS>) and
-- RADIARCH_HOOK_TOKEN (the `hook_token` of this PACS at the gateway).

local url = assert(os.getenv('RADIARCH_HOOK_URL'), 'RADIARCH_HOOK_URL is not set')
local token = assert(os.getenv('RADIARCH_HOOK_TOKEN'), 'RADIARCH_HOOK_TOKEN is not set')

function OnStableStudy(studyId, tags, metadata)
   local headers = { ['Content-Type'] = 'application/json', ['X-Radiarch-Token'] = token }
   if HttpPost(url, '{"event": "StableStudy"}', headers) == nil then
      print('Radiarch\'s gateway did not take the hint; it will find the study by itself.')
   end
end
