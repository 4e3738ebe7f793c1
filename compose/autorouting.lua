-- Orthanc sends the mammograms of every study to mammo-node once nothing of the study has come for StableAge seconds.
-- When the node's results have come back the study becomes stable again: its mammograms are sent again only if there are more.
-- A study counts as sent only when the node has taken all of its mammograms. Until then it is sent again: at each heartbeat
-- (LuaHeartBeatPeriod, Orthanc 1.11.1 or later), when another study becomes stable, when a job of Orthanc ends, and at its start.
local SENT = '1024'      -- Orthanc's metadata for users: how many of the study's mammograms the node has taken
local WAITING = '1025'   -- the study has mammograms that the node has not taken
local FIRST_WAIT, LONGEST_WAIT = 5, 1800   -- seconds between two tries; the wait doubles from try to try

local waiting = {}   -- by study: {tries = how many failed, due = when the next may begin, in seconds}
local jobs = {}      -- by running job: {study = its study, count = how many mammograms, mammograms = their series}

-- What the REST API says, or nil if it refuses.
local function ask(path)
   local succeeded, answer = pcall(function() return ParseJson(RestApiGet(path)) end)
   return succeeded and answer or nil
end

local function set(study, name, value)
   pcall(RestApiPut, '/studies/' .. study .. '/metadata/' .. name, value)
end

local function failed(study)
   local tries = waiting[study].tries + 1
   waiting[study] = {tries = tries, due = os.time() + math.min(LONGEST_WAIT, FIRST_WAIT * 2 ^ (tries - 1))}
end

local function finished(study)
   waiting[study] = nil
   pcall(RestApiDelete, '/studies/' .. study .. '/metadata/' .. WAITING)
end

-- Begins to send, and returns the job. Only a job that is not permissive tells whether the node took everything: Orthanc 1.10.1
-- counts no failed instance in a permissive job whose association is refused.
local function store(series, permissive)
   local order = DumpJson({Resources = series, Synchronous = false, Permissive = permissive})
   local succeeded, job = pcall(function() return ParseJson(RestApiPost('/modalities/mammo-node/store', order))['ID'] end)
   return succeeded and job or nil
end

local function send(study)
   local series, metadata = ask('/studies/' .. study .. '/series'), ask('/studies/' .. study .. '/metadata?expand')
   if series == nil or metadata == nil then   -- it was deleted
      waiting[study] = nil
      return
   end
   local mammograms, count = {}, 0
   for _, one in ipairs(series) do
      if one['MainDicomTags']['Modality'] == 'MG' then
         table.insert(mammograms, one['ID'])
         count = count + #one['Instances']
      end
   end
   if count <= tonumber(metadata[SENT] or '0') then
      if metadata[WAITING] ~= nil then
         finished(study)
      end
      return
   end
   if metadata[WAITING] == nil then
      set(study, WAITING, '1')
   end
   waiting[study] = {tries = waiting[study] and waiting[study].tries or 0, due = math.huge}
   local job = store(mammograms, false)
   if job ~= nil then
      jobs[job] = {study = study, count = count, mammograms = mammograms}
   else
      failed(study)
   end
end

-- Sends the study that waits longest, and only this one: a node that does not answer costs one time-out, not one for each study.
local function try_again()
   local first, due = nil, os.time()
   for study, wait in pairs(waiting) do
      if wait.due <= due then
         first, due = study, wait.due
      end
   end
   if first ~= nil then
      send(first)
   end
end

local function ended(job, succeeded)
   local sent = jobs[job]
   if sent ~= nil then
      jobs[job] = nil
      if succeeded then
         set(sent.study, SENT, tostring(sent.count))
         finished(sent.study)
         for _, wait in pairs(waiting) do   -- the node answers: all others may go now
            if wait.due ~= math.huge then
               wait.due = 0
            end
         end
      else
         failed(sent.study)
         local report = ask('/jobs/' .. job)
         if report ~= nil and string.find(report['ErrorDetails'] or '', 'C-STORE', 1, true) then
            store(sent.mammograms, true)   -- the node refused an image: it gets the study's others now
         end
      end
   end
   try_again()
end

function OnStableStudy(studyId, tags, metadata)
   send(studyId)
   try_again()
end

function OnJobSuccess(job)
   ended(job, true)
end

function OnJobFailure(job)
   ended(job, false)
end

function OnHeartBeat()
   try_again()
end

function Initialize()
   for _, study in ipairs(ask('/studies') or {}) do
      for _, name in ipairs(ask('/studies/' .. study .. '/metadata') or {}) do
         if name == WAITING then
            waiting[study] = {tries = 0, due = 0}
         end
      end
   end
   try_again()
end
