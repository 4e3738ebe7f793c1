-- Orthanc sends the mammograms of every study to mammo-node once nothing of the study has come for StableAge seconds.
-- When the node's results have come back the study becomes stable again: its mammograms are sent again only if there are more.
local SENT = '1024'   -- Orthanc's metadata for users: how many of the study's mammograms were sent

function OnStableStudy(studyId, tags, metadata)
   local mammograms, count = {}, 0
   for _, series in ipairs(ParseJson(RestApiGet('/studies/' .. studyId .. '/series'))) do
      if series['MainDicomTags']['Modality'] == 'MG' then
         table.insert(mammograms, series['ID'])
         count = count + #series['Instances']
      end
   end
   if count > tonumber(metadata[SENT] or '0') then
      RestApiPost('/modalities/mammo-node/store', DumpJson({Resources = mammograms, Synchronous = false}))
      RestApiPut('/studies/' .. studyId .. '/metadata/' .. SENT, tostring(count))
   end
end
